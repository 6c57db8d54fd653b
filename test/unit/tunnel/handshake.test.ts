import { randomBytes } from 'node:crypto';
import t from 'tap';
import type { LockwireError } from '../../../lib/core/errors.ts';
import type { InstanceKey } from '../../../lib/core/ports.ts';
import { type Admit, acceptTunnel, LeftAtChallenge } from '../../../lib/tunnel/handshake-accept.ts';
import {
  type DialHandshake,
  type Dialled,
  dialTunnel,
  OtherInstance,
} from '../../../lib/tunnel/handshake-dial.ts';
import { defaultTunnelLimits } from '../../../lib/tunnel/options.ts';
import { type Bound, challengeMessage, helloMessage, welcomeMessage } from '../../../lib/tunnel/proof.ts';
import { RefusedHello } from '../../../lib/tunnel/refused-hello.ts';
import type { SessionPorts } from '../../../lib/tunnel/session-ports.ts';
import { WindowPool } from '../../../lib/tunnel/window-pool.ts';
import type { Hello, Welcome } from '../../../lib/wire/tunnel/frames.ts';
import { identity, ManualClock, makeInstanceKey, tunnelPair } from '../../support/tunnel-pair.ts';
import { Rogue, settle } from '../../support/tunnel-rogue.ts';

const limits = defaultTunnelLimits;
const token = 'eyJhbGciOiJFUzI1NiJ9.c2VjcmV0LWNsYWltcw.c2VjcmV0LXNpZ25hdHVyZQ';
const gatewayKey = makeInstanceKey();
const clientKey = makeInstanceKey();

function ports(clock: ManualClock): SessionPorts {
  return {
    clock,
    limits,
    pool: new WindowPool(),
    onOpen() {},
    onNotice() {},
    onGoAway() {},
    onRenew: async () => ({ expiresAt: 1 }),
    onRenewed() {},
    onDetached() {},
    onClosed() {},
  };
}

/** A real client, whose gateway is played by the test. */
function dial(overrides: Partial<DialHandshake> = {}) {
  const rogue = new Rogue();
  const clock = new ManualClock();
  const exporter = randomBytes(32);
  const nonce = randomBytes(32);
  let outcome: Dialled | LockwireError | undefined;
  const hello = {
    role: 'connect',
    target: '',
    token,
    instanceKey: clientKey,
    exporter,
    certificateIssuer: 'CN=Corporate Inspection',
    software: 'test',
    ...overrides,
  } as const;
  dialTunnel(rogue, hello, ports(clock)).then(
    dialled => {
      outcome = dialled;
    },
    (error: LockwireError) => {
      outcome = error;
    },
  );
  const challenge = (seen: Uint8Array = exporter, key: InstanceKey = gatewayKey): void =>
    rogue.send(0, {
      type: 'challenge',
      nonce,
      gatewayKey: key.publicKey,
      rotation: new Uint8Array(0),
      instance: 'g1',
      signature: key.sign(challengeMessage(seen, nonce)),
    });
  const welcome = (key: InstanceKey = gatewayKey, change: Partial<Bound> = {}): Welcome => {
    const [hello] = rogue.frames('hello');
    const bound = {
      exporter,
      role: 'connect',
      gatewayNonce: nonce,
      clientNonce: hello!.nonce,
      ...change,
    } as const;
    return {
      type: 'welcome',
      signature: key.sign(welcomeMessage(bound)),
      session: 's1',
      sessionSecret: randomBytes(32),
      instance: 'g1',
      instances: 1,
      earlyWindow: 16_384,
      expiresAt: 0,
      patience: 0,
      principal: 'User::corp|alice',
    };
  };
  const wrote = (): Buffer => Buffer.concat(rogue.wrote);
  return { rogue, clock, exporter, challenge, welcome, wrote, outcome: () => outcome };
}

/** A real gateway, whose client is played by the test. */
function accept(admit: Admit = async () => identity) {
  const rogue = new Rogue();
  const clock = new ManualClock();
  const exporter = randomBytes(32);
  let outcome: unknown;
  let admissions = 0;
  acceptTunnel(
    rogue,
    { session: 's1', gatewayKey, instance: 'g1', instances: 1, exporter },
    hello => {
      admissions += 1;
      return admit(hello, undefined);
    },
    { clock, limits },
    () => ports(clock),
  ).then(
    admitted => {
      outcome = admitted;
    },
    error => {
      outcome = error;
    },
  );
  const hello = (change: Partial<Hello> & { seen?: Uint8Array; key?: InstanceKey } = {}): Hello => {
    const { seen = exporter, key = clientKey, ...fields } = change;
    const [challenge] = rogue.frames('challenge');
    const nonce = randomBytes(32);
    const bound = {
      exporter: seen,
      role: 'connect',
      gatewayNonce: challenge!.nonce,
      clientNonce: nonce,
    } as const;
    return {
      type: 'hello',
      nonce,
      role: 'connect',
      target: '',
      token,
      instanceKey: key.publicKey,
      signature: key.sign(helloMessage({ ...bound, role: fields.role ?? 'connect' })),
      earlyWindow: 16_384,
      software: 'test',
      enrollment: '',
      purpose: 'serve',
      ...fields,
    };
  };
  const goAway = () => rogue.frames('goAway')[0];
  return { rogue, clock, hello, goAway, outcome: () => outcome, admissions: () => admissions };
}

t.test('an honest handshake gives both ends a session', async t => {
  const d = dial();
  d.challenge();
  await settle();
  t.ok(d.wrote().includes(token), 'the token is shown to a gateway that proved the connection');
  d.rogue.send(0, d.welcome());
  await settle();
  t.match(d.outcome(), { session: { state: 'open' }, welcome: { principal: 'User::corp|alice' } });
  const a = accept();
  await settle();
  a.rogue.send(0, a.hello());
  await settle();
  t.match(a.outcome(), { session: { state: 'open' }, hello: { token } });
  t.match(a.rogue.frames('welcome'), [{ session: 's1', instance: 'g1', earlyWindow: 16_384 }]);
});

const intercepted =
  /^TLS to the gateway is intercepted; the certificate seen was issued by CN=Corporate Inspection/;

t.test('a client whose exporter differs from the gateway’s ends before its token is sent', async t => {
  const d = dial();
  d.challenge(randomBytes(32));
  await settle();
  t.match(d.outcome(), { code: 'intercepted', message: intercepted });
  t.notOk(d.wrote().includes(token));
  t.equal(d.wrote().byteLength, 0, 'it wrote nothing at all');
  t.ok(d.rogue.destroyed);
});

t.test('a client that pinned another gateway’s key ends before its token is sent', async t => {
  const d = dial({ gatewayKey: makeInstanceKey().publicKey });
  d.challenge();
  await settle();
  t.match(d.outcome(), { code: 'intercepted', message: /its key is not the one that was pinned/ });
  t.equal(d.wrote().byteLength, 0);
  const honest = dial({ gatewayKey: gatewayKey.publicKey });
  honest.challenge();
  await settle();
  t.ok(honest.wrote().includes(token), 'the pinned one is shown it');
});

t.test('a Challenge signed by another key than it names is refused', async t => {
  const d = dial();
  d.challenge(undefined, {
    publicKey: gatewayKey.publicKey,
    sign: message => makeInstanceKey().sign(message),
  });
  await settle();
  t.match(d.outcome(), { code: 'intercepted' });
  t.equal(d.wrote().byteLength, 0);
});

t.test(
  'a box that replays a Challenge of its own connection to the gateway is refused by the client',
  async t => {
    const real = accept();
    await settle();
    const [challenge] = real.rogue.frames('challenge');
    const { stream: _stream, ...replayed } = challenge!;
    const d = dial();
    d.rogue.send(0, replayed);
    await settle();
    t.match(d.outcome(), { code: 'intercepted' });
    t.equal(d.wrote().byteLength, 0);
  },
);

t.test('a gateway that alone sees the difference refuses, before the credential is looked at', async t => {
  const a = accept();
  await settle();
  a.rogue.send(0, a.hello({ seen: randomBytes(32) }));
  await settle();
  t.match(a.outcome(), { code: 'intercepted' });
  t.match(a.goAway(), { code: 'intercepted', text: /^TLS to the gateway is intercepted/ });
  t.equal(a.admissions(), 0);
});

t.test('a Welcome signed by another key, or for another role, is refused', async t => {
  for (const forged of [
    (d: ReturnType<typeof dial>) => d.welcome(makeInstanceKey()),
    (d: ReturnType<typeof dial>) => d.welcome(gatewayKey, { role: 'expose' }),
    (d: ReturnType<typeof dial>) => d.welcome(gatewayKey, { clientNonce: randomBytes(32) }),
  ]) {
    const d = dial();
    d.challenge();
    await settle();
    d.rogue.send(0, forged(d));
    await settle();
    t.match(d.outcome(), {
      code: 'intercepted',
      message: /its Welcome is not signed by the key of its Challenge/,
    });
  }
});

t.test('a Hello whose signature is for another role is refused', async t => {
  const a = accept();
  await settle();
  a.rogue.send(0, { ...a.hello({ role: 'expose', target: 'autogen' }), role: 'connect', target: '' });
  await settle();
  t.match(a.goAway(), { code: 'intercepted' });
});

t.test('a second Hello ends the handshake, and one in a session the session', async t => {
  const slow = accept(() => new Promise(() => {}));
  await settle();
  slow.rogue.send(0, slow.hello());
  slow.rogue.send(0, slow.hello());
  await settle();
  t.match(slow.goAway(), { code: 'protocol', text: 'hello while admission was awaited' });
  t.equal(slow.admissions(), 1);
  const a = accept();
  await settle();
  a.rogue.send(0, a.hello());
  await settle();
  a.rogue.send(0, a.hello());
  await settle();
  t.match(a.goAway(), { code: 'protocol', text: 'hello in an open session' });
});

t.test('a Hello that exposes no target, or connects with one, is refused', async t => {
  for (const [role, target] of [
    ['expose', ''],
    ['connect', 'autogen'],
  ] as const) {
    const a = accept();
    await settle();
    a.rogue.send(0, a.hello({ role, target }));
    await settle();
    t.match(a.goAway(), { code: 'protocol', text: `role ${role} with target '${target}'` });
    t.equal(a.admissions(), 0);
  }
  const { gateway } = await tunnelPair({ role: 'expose' });
  t.equal(gateway.session.facts.role, 'expose');
});

t.test('anything but a Hello first, data among it, is refused', async t => {
  const frames: ((a: ReturnType<typeof accept>) => void)[] = [
    a => a.rogue.send(0, { type: 'ping', value: 1 }),
    a => a.rogue.open(1),
    a => a.rogue.data(1, 'x'),
    a => {
      // One may come before a Hello, not two.
      const proof = randomBytes(32);
      a.rogue.send(0, { type: 'resume', session: 's1', attempt: 1, received: 0, proof });
      a.rogue.send(0, { type: 'resume', session: 's1', attempt: 2, received: 0, proof });
    },
    a => a.rogue.send(0, { type: 'renew', token }),
    a => a.rogue.raw(Buffer.from('GET / HTTP/1.1\r\n\r\n')),
  ];
  for (const first of frames) {
    const a = accept();
    await settle();
    first(a);
    await settle();
    t.match(a.goAway(), { code: 'protocol' });
    t.match(a.outcome(), { code: 'protocol' });
    t.equal(a.admissions(), 0);
  }
});

t.test('anything but a Challenge first is refused by the client, who has said nothing', async t => {
  for (const first of [
    (d: ReturnType<typeof dial>) => d.rogue.send(0, { type: 'ping', value: 1 }),
    (d: ReturnType<typeof dial>) => d.rogue.data(1, 'x'),
    (d: ReturnType<typeof dial>) => d.rogue.raw(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')),
  ]) {
    const d = dial();
    first(d);
    await settle();
    t.match(d.outcome(), { code: 'protocol' });
    t.equal(d.wrote().byteLength, 0);
  }
});

t.test('a client that is refused hears code, text and decision', async t => {
  const reason = { code: 'denied', text: 'denied: expose autogen (default-deny)', decision: '7f3a' } as const;
  const a = accept(async () => {
    throw new RefusedHello(reason);
  });
  await settle();
  a.rogue.send(0, a.hello());
  await settle();
  t.match(a.goAway(), reason);
  t.match(a.outcome(), { code: 'denied', message: reason.text });
  const d = dial();
  d.challenge();
  await settle();
  d.rogue.send(0, { type: 'goAway', ...reason, lastStream: 0 });
  await settle();
  t.match(d.outcome(), { code: 'denied', message: reason.text, reason });
});

t.test('what a gateway says to a refused client is fit for a terminal', async t => {
  const d = dial();
  d.rogue.send(0, {
    type: 'goAway',
    code: 'denied',
    text: '\u001b[2Jgone\u202e',
    decision: '',
    lastStream: 0,
  });
  await settle();
  t.match(d.outcome(), { message: '\\u{1b}[2Jgone\\u{202e}' });
});

t.test('an admission that fails by a bug is told as an internal error and no more', async t => {
  for (const admit of [
    async () => {
      throw new Error('password=hunter2');
    },
    () => {
      throw new Error('password=hunter2');
    },
    async () => ({ ...identity, credential: { ...identity.credential, expiresAtMs: Number.NaN } }),
  ]) {
    const a = accept(admit);
    await settle();
    a.rogue.send(0, a.hello());
    await settle();
    t.match(a.goAway(), { code: 'internal', text: 'internal error' });
    t.type(a.outcome(), Error);
  }
});

t.test('a principal with a name of 5 KB gets its session, the name cut', async t => {
  const a = accept(async () => ({ ...identity, name: `User::corp|${'é'.repeat(2_500)}` }));
  await settle();
  a.rogue.send(0, a.hello());
  await settle();
  t.match(a.outcome(), { session: { state: 'open' } });
  t.equal(Buffer.byteLength(a.rogue.frames('welcome')[0]!.principal), 1_023);
});

t.test('a token over 16 KiB is never sent, and the error says its size', async t => {
  const d = dial({ token: 'x'.repeat(16_385) });
  await settle();
  t.match(d.outcome(), { code: 'limit', message: 'the token is of 16385 bytes, limit 16384' });
  t.equal(d.wrote().byteLength, 0);
});

t.test(
  'handshakeTimeoutMs: a gateway that is silent, or silent after Hello, is given up after 10 s',
  async t => {
    for (const challenged of [false, true]) {
      const d = dial();
      if (challenged) d.challenge();
      await settle();
      d.clock.advance(9_999);
      await settle();
      t.equal(d.outcome(), undefined);
      d.clock.advance(1);
      await settle();
      t.match(d.outcome(), { code: 'timeout', message: 'the gateway did not answer within 10000 ms' });
    }
  },
);

t.test(
  'handshakeTimeoutMs: a client that is silent, or whose admission never ends, is given up after 10 s',
  async t => {
    for (const sends of [false, true]) {
      const a = accept(() => new Promise(() => {}));
      await settle();
      if (sends) a.rogue.send(0, a.hello());
      a.clock.advance(9_999);
      await settle();
      t.equal(a.outcome(), undefined);
      a.clock.advance(1);
      await settle();
      t.match(a.outcome(), { code: 'timeout', message: 'no session within 10000 ms' });
      t.match(a.goAway(), { code: 'timeout' });
      a.clock.advance(2_000);
      t.ok(a.rogue.destroyed);
    }
  },
);

t.test('wants: a dialler that does not want this process hangs up and has not sent a byte', async t => {
  const asked: string[] = [];
  const d = dial({
    wants: instance => {
      asked.push(instance);
      return false;
    },
  });
  d.challenge();
  await settle();
  t.match(d.outcome(), { code: 'unavailable', message: /gateway process g1 answered/ });
  t.ok(d.outcome() instanceof OtherInstance);
  t.same(asked, ['g1']);
  t.equal(d.wrote().byteLength, 0);
  t.ok(d.rogue.destroyed);
});

t.test(
  'wants: nobody is asked before the Challenge is proven; one that is wanted gets its Hello',
  async t => {
    const asked: string[] = [];
    const wants = (instance: string): boolean => asked.push(instance) > 0;
    const intercepted = dial({ wants });
    intercepted.challenge(randomBytes(32));
    await settle();
    t.match(intercepted.outcome(), { code: 'intercepted' });
    t.same(asked, []);
    const d = dial({ wants });
    d.challenge();
    await settle();
    d.rogue.send(0, d.welcome());
    await settle();
    t.match(d.outcome(), { resumed: false, welcome: { instance: 'g1' } });
    t.same(asked, ['g1']);
  },
);

t.test('a Welcome of another process than the Challenge’s is refused', async t => {
  const d = dial();
  d.challenge();
  await settle();
  d.rogue.send(0, { ...d.welcome(), instance: 'g2' });
  await settle();
  t.match(d.outcome(), { code: 'protocol', message: /welcomes as another process/ });
});

t.test(
  'a client that leaves at the Challenge was not refused; one that leaves after a Resume was',
  async t => {
    const silent = accept();
    await settle();
    t.match(silent.rogue.frames('challenge'), [{ instance: 'g1' }]);
    silent.rogue.hangUp();
    await settle();
    t.ok(silent.outcome() instanceof LeftAtChallenge);
    t.match(silent.outcome(), { code: 'closed' });
    const spoke = accept();
    await settle();
    spoke.rogue.send(0, { type: 'resume', session: 's0', attempt: 1, received: 0, proof: randomBytes(32) });
    spoke.rogue.hangUp();
    await settle();
    t.match(spoke.outcome(), { code: 'closed' });
    t.notOk(spoke.outcome() instanceof LeftAtChallenge);
  },
);

t.test('an admission that comes after the client has gone makes no session', async t => {
  const admission = Promise.withResolvers<typeof identity>();
  const a = accept(() => admission.promise);
  await settle();
  a.rogue.send(0, a.hello());
  a.rogue.hangUp();
  await settle();
  t.match(a.outcome(), { code: 'closed', message: /^closed before Welcome/ });
  admission.resolve(identity);
  await settle();
  t.equal(a.rogue.frames('welcome').length, 0);
});

t.test('frames behind the Welcome in the same read are the session’s', async t => {
  const d = dial({ role: 'connect' });
  d.challenge();
  await settle();
  d.rogue.send(0, d.welcome());
  d.rogue.send(0, { type: 'ping', value: 77 });
  await settle();
  t.match(d.rogue.frames('pong'), [{ value: 77 }]);
});
