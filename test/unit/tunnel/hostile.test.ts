import t, { type Test } from 'tap';
import type { TunnelStream } from '../../../lib/tunnel/stream.ts';
import type { ControlFrame } from '../../../lib/wire/tunnel/frames.ts';
import { encodeData } from '../../support/tunnel-frames.ts';
import { readAll } from '../../support/tunnel-pair.ts';
import { type AgainstRogue, againstRogue, type RogueOptions, settle } from '../../support/tunnel-rogue.ts';

/** Takes a stream up and sends back what comes. */
function echo(stream: TunnelStream): void {
  stream.accept();
  stream.start({
    data: chunk => stream.write(chunk),
    end: () => stream.end(),
    flushed: bytes => stream.consume(bytes),
    closed() {},
  });
}

/** What the peer itself may do, and what a stream of another user's does meanwhile: it works. */
async function honest(t: Test, a: AgainstRogue, id: number): Promise<void> {
  a.rogue.open(id);
  a.rogue.data(id, 'honest traffic');
  a.rogue.send(id, { type: 'end' });
  await settle();
  t.equal(a.rogue.payload(id).toString(), 'honest traffic');
  t.equal(a.session.state, 'open');
}

async function endsWith(t: Test, a: AgainstRogue, text: RegExp, code = 'protocol'): Promise<void> {
  await settle();
  t.match(a.rogue.frames('goAway'), [{ code, text }], 'the peer is told');
  a.rogue.hangUp();
  await settle();
  t.match(a.closed(), { code, text });
  t.strictSame(a.pool.promised, { base: 0, growth: 0 }, 'nothing is held any more');
  t.equal(a.session.streamCount, 0);
}

interface Attack {
  readonly name: string;
  readonly against?: RogueOptions;
  readonly attack: (a: AgainstRogue) => void;
  readonly said: RegExp;
}

const verdict = { code: 'cancelled', text: '', decision: '' } as const;

/** At a gateway, whose peer is a connect; stream 1 has carried honest traffic and is closed on both sides. */
const attacks: Attack[] = [
  {
    name: 'data before any Open',
    attack: a => a.rogue.data(3, 'x'),
    said: /data on stream 3, which is not open/,
  },
  ...(['credit', 'opened', 'end', 'reset'] as const).map(type => ({
    name: `${type} before any Open`,
    attack: (a: AgainstRogue) => a.rogue.send(3, { type, limit: 1, ...verdict } as ControlFrame),
    said: new RegExp(`${type} on stream 3, which is not open`),
  })),
  {
    name: 'a data frame larger than the credit',
    attack: a => {
      a.rogue.open(3);
      a.rogue.raw(encodeData(3, Buffer.alloc(65_536)).subarray(0, 70_000));
      a.rogue.data(3, Buffer.alloc(1));
    },
    against: { onOpen: stream => stream.id === 1 && echo(stream) },
    said: /stream 3: 65536 bytes, credit 16384/,
  },
  {
    name: 'data of no bytes',
    attack: a => a.rogue.raw(Buffer.from('0408037a00', 'hex')),
    said: /data of 0 bytes/,
  },
  {
    name: 'data on a closed stream',
    attack: a => a.rogue.data(1, 'x'),
    said: /data on stream 1, which is closed/,
  },
  {
    name: 'End on a closed stream',
    attack: a => a.rogue.send(1, { type: 'end' }),
    said: /end on stream 1, which is closed/,
  },
  {
    name: 'data behind an End',
    against: { onOpen: stream => (stream.id === 1 ? echo(stream) : stream.accept()) },
    attack: a => {
      a.rogue.open(3);
      a.rogue.send(3, { type: 'end' });
      a.rogue.data(3, 'x');
    },
    said: /stream 3: data after its End/,
  },
  {
    name: 'two Ends',
    against: { onOpen: stream => (stream.id === 1 ? echo(stream) : stream.accept()) },
    attack: a => {
      a.rogue.open(3);
      a.rogue.send(3, { type: 'end' });
      a.rogue.send(3, { type: 'end' });
    },
    said: /stream 3: receiveEnd in state half-closed-remote/,
  },
  {
    name: 'data behind its own Reset',
    attack: a => {
      a.rogue.open(3);
      a.rogue.send(3, { type: 'reset', ...verdict });
      a.rogue.data(3, 'x');
    },
    said: /data on stream 3, which is closed/,
  },
  {
    name: 'late data on a stream that was reset, beyond the credit it had',
    against: {
      onOpen: stream => (stream.id === 1 ? echo(stream) : stream.reset({ code: 'denied', text: '' })),
    },
    attack: a => {
      a.rogue.open(3);
      a.rogue.data(3, Buffer.alloc(16_384));
      a.rogue.data(3, 'x');
    },
    said: /data on stream 3, which is closed or beyond its credit/,
  },
  {
    name: 'data behind the End of a stream that was reset',
    against: {
      onOpen: stream => (stream.id === 1 ? echo(stream) : stream.reset({ code: 'denied', text: '' })),
    },
    attack: a => {
      a.rogue.open(3);
      a.rogue.send(3, { type: 'end' });
      a.rogue.data(3, 'x');
    },
    said: /data on stream 3, which is closed/,
  },
  {
    name: 'a stream number used twice',
    attack: a => a.rogue.open(1),
    said: /open of stream 1 after 1/,
  },
  {
    name: 'a stream number of the other end',
    attack: a => a.rogue.open(2),
    said: /open of stream 2 after 1/,
  },
  {
    name: 'credit that goes back',
    against: { onOpen: stream => (stream.id === 1 ? echo(stream) : stream.accept()) },
    attack: a => {
      a.rogue.open(3);
      a.rogue.send(3, { type: 'credit', limit: 20_000 });
      a.rogue.send(3, { type: 'credit', limit: 19_999 });
    },
    said: /stream 3: credit went back from 20000 to 19999/,
  },
  {
    name: 'Opened by the opener',
    against: { onOpen: stream => stream.id === 1 && echo(stream) },
    attack: a => {
      a.rogue.open(3);
      a.rogue.send(3, { type: 'opened', limit: 1e6 });
    },
    said: /stream 3: opened twice or by its opener/,
  },
  {
    name: 'an Ack of more than was sent',
    attack: a => a.rogue.send(0, { type: 'ack', received: a.session.offsets.sent + 1 }),
    said: /^ack of \d+ bytes, \d+ were sent and \d+ acknowledged/,
  },
  {
    name: 'an Ack that goes back',
    attack: a => a.rogue.send(0, { type: 'ack', received: a.session.offsets.acked - 1 }),
    said: /^ack of \d+ bytes/,
  },
  {
    name: 'a Pong to no Ping',
    attack: a => a.rogue.send(0, { type: 'pong', value: 0 }),
    said: /pong 0 answers no ping/,
  },
  {
    name: 'a Notice to the gateway',
    attack: a => a.rogue.send(0, { type: 'notice', ...verdict }),
    said: /notice to the gateway/,
  },
  {
    name: 'an Instances to the gateway',
    attack: a => a.rogue.send(0, { type: 'instances', instances: 2 }),
    said: /instances to the gateway/,
  },
  {
    name: 'a Renewed to the gateway',
    attack: a => a.rogue.send(0, { type: 'renewed', expiresAt: 1e15 }),
    said: /renewed answers no renew/,
  },
  {
    name: 'a second Renew while one is checked',
    against: { onOpen: echo, onRenew: () => new Promise(() => {}) },
    attack: a => {
      a.rogue.send(0, { type: 'renew', token: 'a' });
      a.rogue.send(0, { type: 'renew', token: 'b' });
    },
    said: /renew while one is being checked/,
  },
  ...(
    [
      { type: 'resume', session: 's', attempt: 1, received: 0, proof: Buffer.alloc(32) },
      { type: 'resumed', outcome: 'resumed', received: 0, expiresAt: 0 },
      {
        type: 'challenge',
        nonce: Buffer.alloc(32),
        gatewayKey: Buffer.alloc(32),
        rotation: new Uint8Array(0),
        instance: 'g1',
        signature: Buffer.alloc(64),
      },
    ] as const
  ).map(frame => ({
    name: `${frame.type} in an open session`,
    attack: (a: AgainstRogue) => a.rogue.send(0, frame),
    said: new RegExp(`${frame.type} in an open session`),
  })),
  {
    name: 'what is no frame',
    attack: a => a.rogue.raw(Buffer.from('PRI * HTTP/2.0\r\n\r\n')),
    said: /^malformed frame: /,
  },
];

for (const { name, against, attack, said } of attacks) {
  t.test(`${name} ends the session with a reason, beside honest traffic that passes`, async t => {
    const a = againstRogue(against ?? { onOpen: echo });
    await honest(t, a, 1);
    attack(a);
    await endsWith(t, a, said);
  });
}

for (const { name, attack, said } of [
  {
    name: 'an Open to a connect',
    attack: (a: AgainstRogue) => a.rogue.open(2),
    said: /open against role connect/,
  },
  {
    name: 'data on our stream before its Opened',
    attack: (a: AgainstRogue) => a.rogue.data(1, 'x'),
    said: /stream 1: data before its Opened/,
  },
  {
    name: 'End on our stream before its Opened',
    attack: (a: AgainstRogue) => a.rogue.send(1, { type: 'end' }),
    said: /stream 1: end before its Opened/,
  },
  {
    name: 'Credit on our stream before its Opened',
    attack: (a: AgainstRogue) => a.rogue.send(1, { type: 'credit', limit: 1e6 }),
    said: /stream 1: credit before its Opened/,
  },
  {
    name: 'a second Opened',
    attack: (a: AgainstRogue) => {
      a.rogue.send(1, { type: 'opened', limit: 65_536 });
      a.rogue.send(1, { type: 'opened', limit: 65_536 });
    },
    said: /stream 1: opened twice or by its opener/,
  },
  {
    name: 'an Opened below what was allowed',
    attack: (a: AgainstRogue) => a.rogue.send(1, { type: 'opened', limit: 16_383 }),
    said: /stream 1: credit went back from 16384 to 16383/,
  },
  {
    name: 'a Renew to a client',
    attack: (a: AgainstRogue) => a.rogue.send(0, { type: 'renew', token: 'a' }),
    said: /renew to a client/,
  },
  {
    name: 'a Renewed that was not asked for',
    attack: (a: AgainstRogue) => a.rogue.send(0, { type: 'renewed', expiresAt: 1 }),
    said: /renewed answers no renew/,
  },
]) {
  t.test(`${name}, by a gateway, ends the session`, async t => {
    const a = againstRogue({ side: 'dialler' });
    a.session.renew('a.b.c');
    a.rogue.send(0, { type: 'renewed', expiresAt: 5 });
    t.strictSame(a.renewed, [5], 'one that was asked for is taken');
    readAll(a.session.open('autogen', 'unix'));
    await settle();
    attack(a);
    await endsWith(t, a, said);
  });
}

t.test('an expose that opens a stream ends its session; it serves those that it is asked for', async t => {
  const a = againstRogue({ side: 'gateway', role: 'expose' });
  const stream = a.session.open('autogen', 'unix');
  const { closed } = readAll(stream);
  stream.write(Buffer.from('hello'));
  await settle();
  t.equal(a.rogue.payload(2).toString(), 'hello');
  t.throws(() => againstRogue({ side: 'dialler', role: 'expose' }).session.open('autogen', 'unix'), {
    code: 'protocol',
  });
  a.rogue.open(1);
  await endsWith(t, a, /open against role expose/);
  t.match(await closed, { code: 'protocol' });
});

t.test('frames that crossed our Reset are let pass: Opened, Credit, data, End, Reset', async t => {
  const a = againstRogue({ side: 'dialler' });
  const reason = { code: 'cancelled', text: '' } as const;
  for (const id of [1, 3]) {
    a.session.open('autogen', 'unix').reset(reason);
    a.rogue.send(id, { type: 'opened', limit: 65_536 });
    a.rogue.send(id, { type: 'credit', limit: 70_000 });
    a.rogue.data(id, Buffer.alloc(16_384));
    if (id === 1) a.rogue.send(id, { type: 'end' });
    a.rogue.send(id, { type: 'reset', ...verdict });
  }
  await settle();
  t.equal(a.session.state, 'open');
  t.equal(a.session.streamCount, 0);
});

t.test('a peer that reads nothing is still read, and is not answered without bound', async t => {
  const a = againstRogue({ onOpen: echo });
  await honest(t, a, 1);
  a.rogue.stuck = true;
  a.rogue.open(3);
  a.rogue.data(3, Buffer.alloc(65_536));
  for (let i = 0; i < 20; i += 1) a.rogue.send(0, { type: 'ping', value: i });
  await settle();
  t.equal(a.session.state, 'open');
  t.equal(a.session.streamCount, 1, 'what it sent was taken');
  for (let id = 5; id < 405; id += 2) {
    a.rogue.open(id);
    a.rogue.data(id, Buffer.alloc(1_000));
    a.rogue.send(id, { type: 'reset', ...verdict });
  }
  await settle();
  t.equal(a.session.streamCount, 1, 'its resets too');
  const written = a.rogue.wrote.length;
  await settle();
  t.equal(a.rogue.wrote.length, written, 'one write is in flight and no other');
});

t.test(
  'a reset flood leaves nothing behind: opens and resets, and resets of streams long closed',
  async t => {
    const a = againstRogue({ onOpen: echo });
    await honest(t, a, 1);
    for (let round = 0; round < 40; round += 1) {
      for (let i = 0; i < 64; i += 1) {
        const id = 3 + (round * 64 + i) * 2;
        a.rogue.open(id);
        a.rogue.data(id, Buffer.alloc(16_384));
        a.rogue.send(id, { type: 'reset', ...verdict });
      }
      for (let i = 0; i < 100; i += 1) a.rogue.send(1, { type: 'reset', ...verdict });
      a.clock.advance(1_000);
      await settle(1);
    }
    t.equal(a.session.streamCount, 0);
    t.strictSame(a.pool.promised, { base: 0, growth: 0 });
    await honest(t, a, 9_999);
  },
);

t.test('what a peer says is safe to show: in a Reset, a Notice and a GoAway', async t => {
  const a = againstRogue({ side: 'dialler' });
  const { closed } = readAll(a.session.open('autogen', 'unix'));
  const nasty = { code: 'denied', text: 'a\u001b[31mb\u202ec\n', decision: '\u0007' } as const;
  const safe = { code: 'denied', text: 'a\\u{1b}[31mb\\u{202e}c\\u{a}', decision: '\\u{7}' };
  a.rogue.send(0, { type: 'notice', ...nasty });
  a.rogue.send(1, { type: 'reset', ...nasty });
  a.rogue.send(0, { type: 'goAway', ...nasty, lastStream: 0 });
  await settle();
  t.match(a.notices, [safe]);
  t.match(await closed, safe);
  t.match(a.closed(), safe);
});

t.test('many GoAways are one: a client that dials again for each would storm', async t => {
  const a = againstRogue({ side: 'dialler' });
  readAll(a.session.open('autogen', 'unix'));
  for (let i = 0; i < 50; i += 1) {
    a.rogue.send(0, { type: 'goAway', code: 'shutdown', text: 'bye', decision: '', lastStream: 1 });
  }
  t.match(a.goAways, [{ code: 'shutdown', text: 'bye' }]);
  t.equal(a.goAways.length, 1);
});

t.test('a reader that throws ends its session as an internal error, and the peer learns no more', async t => {
  const a = againstRogue({
    onOpen: stream => {
      if (stream.id === 1) return echo(stream);
      stream.accept();
      stream.start({
        data() {
          throw new TypeError('secret is undefined');
        },
        end() {},
        flushed() {},
        closed() {},
      });
    },
  });
  await honest(t, a, 1);
  a.rogue.open(3);
  a.rogue.data(3, 'x');
  await settle();
  t.match(a.rogue.frames('goAway'), [{ code: 'internal', text: 'internal error' }]);
  a.rogue.hangUp();
  await settle();
  t.match(a.closed(), { code: 'internal', text: 'secret is undefined' });
});
