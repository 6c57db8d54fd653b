import { readFileSync } from 'node:fs';
import t from 'tap';
import { defaultTunnelLimits, defaultWindowPoolLimits } from '../../../lib/tunnel/options.ts';
import type { TunnelStream } from '../../../lib/tunnel/stream.ts';
import { WindowPool } from '../../../lib/tunnel/window-pool.ts';
import { readAll } from '../../support/tunnel-pair.ts';
import { againstRogue, pass, settle } from '../../support/tunnel-rogue.ts';

const take = (stream: TunnelStream): void => {
  stream.accept();
  readAll(stream);
};
const hold = (stream: TunnelStream): void => {
  stream.accept();
  readAll(stream, false);
};

t.test('each limit of a session and of the pool has a test here, or in handshake or resume', async t => {
  const tests = ['limits', 'handshake', 'resume'].map(name =>
    readFileSync(new URL(`./${name}.test.ts`, import.meta.url), 'utf8'),
  );
  for (const limit of [...Object.keys(defaultTunnelLimits), ...Object.keys(defaultWindowPoolLimits)]) {
    t.ok(
      tests.some(text => new RegExp(`t\\.test\\(\\s*['\`][^'\`]*\\b${limit}\\b`).test(text)),
      limit,
    );
  }
});

t.test('maxStreams: the 257th stream is refused, and may come once another has ended', async t => {
  const a = againstRogue({ onOpen: take });
  for (let i = 0; i < 256; i += 1) a.rogue.open(i * 2 + 1);
  t.equal(a.session.streamCount, 256);
  a.rogue.open(513);
  await settle();
  t.match(a.rogue.frames('reset'), [{ stream: 513, code: 'limit', text: '256 streams are open, the limit' }]);
  a.rogue.send(1, { type: 'reset', code: 'cancelled', text: '', decision: '' });
  a.rogue.open(515);
  t.equal(a.session.streamCount, 256);
  t.equal(a.closed(), undefined);
});

t.test('maxStreams: our own 257th open is refused here', async t => {
  const { session } = againstRogue({ side: 'dialler' });
  for (let i = 0; i < 256; i += 1) session.open('autogen', 'unix');
  t.throws(() => session.open('autogen', 'unix'), { code: 'limit', message: /^256 streams are open/ });
});

t.test('maxPendingOpens: the 65th stream that nobody took up is refused', async t => {
  const a = againstRogue();
  for (let i = 0; i < 65; i += 1) a.rogue.open(i * 2 + 1);
  await settle();
  t.match(a.rogue.frames('reset'), [{ stream: 129, code: 'limit', text: '64 opens are pending, the limit' }]);
  a.opened[0]!.accept();
  a.rogue.open(131);
  t.equal(a.opened.length, 65);
});

for (const side of ['gateway', 'dialler'] as const) {
  t.test(`openTimeoutMs: a stream not taken up for 30 s is reset by the ${side}`, async t => {
    const a = againstRogue({ side });
    if (side === 'gateway') a.rogue.open(1);
    const stream = side === 'gateway' ? a.opened[0]! : a.session.open('autogen', 'unix');
    const { closed } = readAll(stream);
    await pass(a, 29_000);
    t.equal(a.session.streamCount, 1);
    await pass(a, 1_000);
    t.match(await closed, { code: 'timeout', text: 'not taken up within 30000 ms' });
    await settle();
    t.match(a.rogue.frames('reset'), [{ stream: 1, code: 'timeout' }]);
  });
}

t.test('opensPerSecond, opensBurst: excess opens are refused, as many refused end the session', async t => {
  const a = againstRogue({ onOpen: stream => stream.reset({ code: 'denied', text: '' }) });
  let next = 1;
  const openMany = (count: number): void => {
    for (let i = 0; i < count; i += 1, next += 2) a.rogue.open(next);
  };
  openMany(512);
  t.equal(a.opened.length, 512);
  openMany(100);
  t.equal(a.opened.length, 512, 'refused before anyone looks at them');
  await settle();
  t.match(a.rogue.frames('reset').at(-1), { code: 'limit', text: 'more than 64 opens a second, the limit' });
  a.clock.advance(1_000);
  openMany(64);
  t.equal(a.opened.length, 576, '64 a second are served on');
  openMany(400);
  t.equal(a.closed(), undefined);
  openMany(100);
  await settle();
  t.match(a.rogue.frames('goAway'), [{ code: 'limit', text: 'more than 64 refused opens a second' }]);
});

t.test(
  'opensPerSecond, opensBurst: our own opens keep to it, so that no honest client is punished',
  async t => {
    const a = againstRogue({ side: 'dialler' });
    const open = (): void => a.session.open('autogen', 'unix').reset({ code: 'cancelled', text: '' });
    for (let i = 0; i < 512; i += 1) open();
    t.throws(open, { code: 'limit', message: 'more than 64 opens a second, the limit' });
    a.clock.advance(1_000);
    for (let i = 0; i < 64; i += 1) open();
    t.throws(open, { code: 'limit' });
  },
);

t.test('earlyWindowBytes: 16 KiB may come before Opened, one byte more ends the session', async t => {
  const a = againstRogue();
  a.rogue.open(1);
  a.rogue.data(1, Buffer.alloc(16_384, 'a'));
  await settle();
  t.equal(a.closed(), undefined);
  const { chunks } = readAll(a.opened[0]!, false);
  t.equal(Buffer.concat(chunks).byteLength, 16_384, 'it waits for a reader');
  a.rogue.data(1, 'b');
  await settle();
  t.match(a.rogue.frames('goAway'), [{ code: 'protocol', text: 'stream 1: 16385 bytes, credit 16384' }]);
});

t.test('windowBytes: once taken up, a stream may have 64 KiB outstanding and not a byte more', async t => {
  const a = againstRogue({ onOpen: hold });
  a.rogue.open(1);
  await settle();
  t.match(a.rogue.frames('opened'), [{ stream: 1, limit: 65_536 }]);
  a.rogue.data(1, Buffer.alloc(65_536));
  await settle();
  t.equal(a.closed(), undefined);
  a.rogue.data(1, 'b');
  await settle();
  t.match(a.rogue.frames('goAway'), [{ code: 'protocol', text: 'stream 1: 65537 bytes, credit 65536' }]);
});

/** Sends all that the credit allows, `rounds` times; returns the windows that were seen. */
async function fill(a: ReturnType<typeof againstRogue>, stream: number, rounds: number): Promise<number[]> {
  const windows: number[] = [];
  let sent = a.rogue.payload(stream).byteLength;
  for (let i = 0; i < rounds; i += 1) {
    await settle(2);
    const limits = [...a.rogue.frames('opened'), ...a.rogue.frames('credit')].filter(
      f => f.stream === stream,
    );
    const limit = Math.max(...limits.map(f => f.limit));
    windows.push(limit - sent);
    for (; sent < limit; sent += Math.min(65_536, limit - sent)) {
      a.rogue.data(stream, Buffer.alloc(Math.min(65_536, limit - sent)));
    }
  }
  return windows;
}

t.test('maxWindowBytes: the window of a fast stream doubles to 4 MiB and no further', async t => {
  const a = againstRogue({ onOpen: take });
  a.rogue.open(1);
  const windows = await fill(a, 1, 12);
  t.ok(Math.max(...windows) <= 4_194_304);
  t.equal(a.pool.promised.growth, 4_194_304 - 65_536, 'the window is of 4 MiB');
});

t.test('maxWindowBytes: a stream that is slower than its window does not grow', async t => {
  const a = againstRogue({ onOpen: hold, roundTripMs: 10 });
  a.rogue.open(1);
  await settle();
  for (let i = 0; i < 20; i += 1) {
    a.rogue.data(1, Buffer.alloc(32_768));
    // Half a window takes 21 ms, more than two round trips.
    a.clock.advance(21);
    a.opened[0]!.consume(32_768);
    await settle(1);
  }
  t.equal(a.pool.promised.growth, 0);
});

t.test(
  'sessionGrowthBytes: three fast streams of one session share 8 MiB, another session still grows',
  async t => {
    const pool = { growthBytes: 64 * 1024 * 1024 };
    const a = againstRogue({ onOpen: take, pool });
    for (const stream of [1, 3, 5]) {
      a.rogue.open(stream);
      await fill(a, stream, 12);
    }
    t.ok(a.pool.promised.growth <= 8_388_608, `${a.pool.promised.growth}`);
    t.ok(a.pool.promised.growth > 8_388_608 - 524_288, `${a.pool.promised.growth}`);
  },
);

t.test('stallMs: the window of a stream that stalls for 5 s goes back to its base', async t => {
  const a = againstRogue({ onOpen: hold });
  a.rogue.open(1);
  await settle();
  const stream = a.opened[0]!;
  let sent = 0;
  const send = (bytes: number): void => {
    for (let left = bytes; left > 0; left -= Math.min(left, 65_536)) {
      a.rogue.data(1, Buffer.alloc(Math.min(left, 65_536)));
    }
    sent += bytes;
  };
  for (let i = 0; i < 5; i += 1) {
    const limit = Math.max(65_536, ...a.rogue.frames('credit').map(f => f.limit));
    const bytes = limit - sent;
    send(bytes);
    stream.consume(bytes);
    await settle(1);
  }
  const grown = a.pool.promised.growth;
  t.ok(grown >= 1_000_000, `${grown}`);
  const limit = Math.max(...a.rogue.frames('credit').map(f => f.limit));
  send(limit - sent);
  a.clock.advance(4_000);
  t.equal(a.pool.promised.growth, grown);
  a.clock.advance(6_000);
  const outstanding = grown + 65_536;
  t.equal(a.pool.promised.growth, grown, 'what was promised and used stays held');
  const credits = a.rogue.frames('credit').length;
  stream.consume(outstanding - 65_536);
  await settle(1);
  t.equal(a.pool.promised.growth, 0, 'and goes back as it is taken');
  t.equal(a.rogue.frames('credit').length, credits, 'without new credit');
  stream.consume(65_536);
  await settle(1);
  t.equal(a.rogue.frames('credit').at(-1)!.limit, sent + 65_536);
});

t.test('stallMs: nor does a stream that idles keep a grown window once it moves again', async t => {
  const a = againstRogue({ onOpen: take });
  a.rogue.open(1);
  const windows = await fill(a, 1, 6);
  t.ok(a.pool.promised.growth > 1_000_000);
  await pass(a, 10_000);
  const limit = Math.max(...a.rogue.frames('credit').map(f => f.limit));
  const sent = windows.reduce((sum, window) => sum + window, 0);
  t.equal(a.pool.promised.growth, limit - sent - 65_536, 'the peer was promised it');
  for (let left = limit - sent; left > 0; left -= 65_536)
    a.rogue.data(1, Buffer.alloc(Math.min(left, 65_536)));
  await settle();
  t.equal(a.pool.promised.growth, 0, 'the promise is used up and not renewed');
});

t.test('loneFrameBytes, sharedFrameBytes: 64 KiB a frame alone, 16 KiB beside another stream', async t => {
  const a = againstRogue({ side: 'dialler', peerEarlyWindow: 1 << 20 });
  a.session.open('autogen', 'unix').write(Buffer.alloc(200_000));
  await settle();
  const sizes = (stream: number): number[] =>
    a.rogue.got.items.flatMap(item =>
      'data' in item && item.stream === stream ? [item.data.byteLength] : [],
    );
  t.strictSame(sizes(1), [65_536, 65_536, 65_536, 3_392]);
  const [two, three] = [a.session.open('autogen', 'unix'), a.session.open('autogen', 'unix')];
  two.write(Buffer.alloc(60_000));
  three.write(Buffer.alloc(60_000));
  await settle();
  t.strictSame(sizes(3), [16_384, 16_384, 16_384, 10_848]);
  t.equal(sizes(5)[0], 16_384);
});

t.test('ackEveryBytes, ackDelayMs: Ack after 64 KiB at once, after less within 100 ms', async t => {
  const a = againstRogue({ onOpen: take });
  a.rogue.open(1);
  a.rogue.data(1, Buffer.alloc(65_536 - 100));
  const { received } = a.session.offsets;
  await settle();
  t.equal(a.rogue.frames('ack').length, 0);
  a.clock.advance(99);
  await settle();
  t.equal(a.rogue.frames('ack').length, 0);
  a.clock.advance(1);
  await settle();
  t.match(a.rogue.frames('ack'), [{ received }]);
  a.rogue.data(1, Buffer.alloc(65_536));
  await settle();
  t.match(a.rogue.frames('ack'), [{}, { received: a.session.offsets.received }]);
  a.clock.advance(1_000);
  await settle();
  t.equal(a.rogue.frames('ack').length, 2, 'nothing new, no Ack');
});

t.test('maxUnackedBytes: 4 MiB unacknowledged stop data, an Ack lets it go on', async t => {
  const a = againstRogue({ side: 'dialler', peerEarlyWindow: 1 << 24 });
  a.rogue.acks = false;
  const stream = a.session.open('autogen', 'unix');
  const near = readAll(stream);
  stream.write(Buffer.alloc(6 * 1024 * 1024));
  await settle(60);
  const { sent, acked } = a.session.offsets;
  t.equal(acked, 0);
  t.ok(sent >= 4_194_304 && sent <= 4_194_304 + 65, `${sent}`);
  const stopped = near.flushed;
  a.rogue.send(0, { type: 'ack', received: 1_000_000 });
  await settle(60);
  t.ok(near.flushed >= stopped + 990_000, `${near.flushed} after ${stopped}`);
  t.ok(near.flushed <= stopped + 1_000_000);
  a.rogue.acks = true;
  a.rogue.send(0, { type: 'ack', received: a.session.offsets.sent });
  await settle(60);
  t.equal(near.flushed, 6 * 1024 * 1024, 'all of it in the end');
});

t.test('maxUnackedControlBytes: 64 KiB of control frames beyond that end the session', async t => {
  const a = againstRogue({
    peerEarlyWindow: 1 << 24,
    onOpen: stream => {
      stream.accept();
      if (stream.id === 1) stream.write(Buffer.alloc(5 * 1024 * 1024));
    },
    limits: { opensBurst: 1e9 },
  });
  a.rogue.acks = false;
  a.rogue.open(1);
  await settle(60);
  t.ok(a.session.offsets.sent >= 4_194_304);
  let resets = 0;
  for (let id = 3; a.session.state === 'open' && id < 20_000; id += 2, resets += 1) {
    a.rogue.open(id);
    a.opened.at(-1)!.reset({ code: 'denied', text: 'x'.repeat(100) });
    await settle(1);
  }
  await settle();
  t.match(a.rogue.frames('goAway'), [{ code: 'limit', text: 'the peer takes no frames' }]);
  t.ok(resets * 115 > 60_000 && resets * 115 < 80_000, `${resets} resets`);
});

t.test(
  'maxControlQueueBytes: a peer that reads nothing ends the session at 64 KiB of control frames',
  async t => {
    const a = againstRogue({ limits: { opensBurst: 1e9, noticesBurst: 1e9 } });
    a.rogue.stuck = true;
    let notices = 0;
    while (a.session.notice({ code: 'denied', text: 'x'.repeat(1_000) }) && notices < 1_000) {
      notices += 1;
      await settle(1);
    }
    t.ok(notices >= 63 && notices <= 67, `${notices} notices`);
    t.equal(a.session.state, 'closing');
    a.clock.advance(2_000);
    await settle();
    t.match(a.closed(), { code: 'limit', text: 'the peer takes no frames' });
  },
);

t.test(
  'pingIntervalMs, pingTimeoutMs, tickMs: a ping after 15 s, the end 10 s after it without a word',
  async t => {
    const a = againstRogue();
    a.rogue.pongs = false;
    a.clock.advance(14_999);
    await settle();
    t.equal(a.rogue.frames('ping').length, 0);
    a.clock.advance(1);
    await settle();
    t.equal(a.rogue.frames('ping').length, 1);
    a.clock.advance(9_999);
    await settle();
    t.equal(a.closed(), undefined);
    a.clock.advance(1);
    await settle();
    t.match(a.closed(), { code: 'timeout', text: 'no answer to a ping within 10000 ms' });
  },
);

t.test('pingIntervalMs, pingTimeoutMs: a peer that answers, or sends anything, lives on', async t => {
  const answers = againstRogue();
  const talks = againstRogue({ onOpen: take });
  talks.rogue.pongs = false;
  talks.rogue.open(1);
  for (let i = 0; i < 60; i += 1) {
    answers.clock.advance(5_000);
    talks.clock.advance(5_000);
    talks.rogue.data(1, 'x');
    await settle(2);
  }
  t.equal(answers.closed(), undefined);
  t.equal(answers.rogue.frames('ping').length, 20);
  t.equal(talks.closed(), undefined);
});

t.test(
  'pingsPerSecond, pingsBurst: 20 pings at once and 2 a second are answered, more end the session',
  async t => {
    const a = againstRogue();
    const ping = (value: number): void => a.rogue.send(0, { type: 'ping', value });
    for (let i = 0; i < 20; i += 1) ping(i);
    for (let i = 0; i < 10; i += 1) {
      a.clock.advance(500);
      ping(100 + i);
      await settle(2);
    }
    t.equal(a.rogue.frames('pong').at(-1)!.value, 109);
    ping(1000);
    await settle();
    t.match(a.rogue.frames('goAway'), [{ code: 'protocol', text: 'pings too often' }]);
  },
);

t.test('noticesPerSecond, noticesBurst: 20 at once and one a second are sent, and shown', async t => {
  const sender = againstRogue();
  const reader = againstRogue({ side: 'dialler' });
  let sent = 0;
  for (let i = 0; i < 50; i += 1) if (sender.session.notice({ code: 'denied', text: 'no' })) sent += 1;
  t.equal(sent, 20);
  sender.clock.advance(3_000);
  for (let i = 0; i < 50; i += 1) if (sender.session.notice({ code: 'denied', text: 'no' })) sent += 1;
  t.equal(sent, 23);
  for (let i = 0; i < 50; i += 1)
    reader.rogue.send(0, { type: 'notice', code: 'denied', text: 'no', decision: '' });
  t.equal(reader.notices.length, 20);
  t.equal(reader.closed(), undefined);
});

t.test(
  'renewalsPerSecond, renewalsBurst: 10 at once and one in 2 s are checked, more end the session',
  async t => {
    let checked = 0;
    const a = againstRogue({
      onRenew: async () => {
        checked += 1;
        return { expiresAt: checked };
      },
    });
    const renew = async (): Promise<void> => {
      a.rogue.send(0, { type: 'renew', token: 'a.b.c' });
      await settle(2);
    };
    for (let i = 0; i < 10; i += 1) await renew();
    a.clock.advance(2_000);
    await renew();
    t.equal(checked, 11);
    t.equal(a.rogue.frames('renewed').at(-1)!.expiresAt, 11);
    await renew();
    t.equal(checked, 11);
    t.match(a.rogue.frames('goAway'), [{ code: 'limit', text: 'more than 0.5 renewals a second' }]);
  },
);

t.test(
  'maxRememberedResets: late data passes on the last 1024 streams that were reset, not before them',
  async t => {
    const a = againstRogue({ limits: { opensBurst: 1e9 } });
    const reset = (count: number): void => {
      for (let i = 0; i < count; i += 1) {
        const id = a.opened.length * 2 + 1;
        a.rogue.open(id);
        a.opened.at(-1)!.reset({ code: 'denied', text: '' });
      }
    };
    reset(1_024);
    a.rogue.data(1, 'late');
    t.equal(a.session.state, 'open');
    reset(1);
    a.rogue.data(3, 'late');
    t.equal(a.session.state, 'open');
    a.rogue.data(1, 'too late');
    t.equal(a.session.state, 'closing');
  },
);

t.test('lingerMs: a farewell that nobody reads is waited for 2 s', async t => {
  const a = againstRogue();
  a.rogue.stuck = true;
  a.session.close({ code: 'revoked', text: '' });
  a.clock.advance(1_999);
  await settle();
  t.notOk(a.rogue.destroyed);
  a.clock.advance(1);
  await settle();
  t.ok(a.rogue.destroyed);
  t.match(a.closed(), { code: 'revoked' });
});

t.test('lingerMs: a farewell that was read is followed by the end of the connection at once', async t => {
  const a = againstRogue();
  a.session.close({ code: 'revoked', text: 'by an admin', decision: '7f3a' });
  await settle();
  t.match(a.rogue.frames('goAway'), [{ code: 'revoked', text: 'by an admin', decision: '7f3a' }]);
  t.ok(a.rogue.ended);
  a.rogue.hangUp();
  await settle();
  t.match(a.closed(), { code: 'revoked' });
});

t.test('baseBytes: base windows are halved at 16 MiB promised and quartered at 32 MiB', async t => {
  const pool = new WindowPool();
  const granted: number[] = [];
  for (let i = 0; i < 5_000; i += 1) granted.push(pool.takeBase(65_536));
  t.strictSame([...new Set(granted)], [65_536, 32_768, 16_384]);
  t.equal(granted.indexOf(32_768), 256);
  t.equal(granted.indexOf(16_384), 256 + 512);
  const thousand = granted.slice(0, 1_000).reduce((sum, bytes) => sum + bytes, 0);
  t.ok(thousand <= 36 * 1024 * 1024, 'a thousand stalled streams hold 36 MiB');
  for (const bytes of granted) pool.returnBase(bytes);
  t.strictSame(pool.promised, { base: 0, growth: 0 });
});

t.test('growthBytes: growth comes out of 16 MiB, at most half of what is free at once', async t => {
  const pool = new WindowPool();
  const mib = 1024 * 1024;
  t.notOk(pool.takeGrowth(8 * mib + 1));
  t.ok(pool.takeGrowth(8 * mib));
  t.notOk(pool.takeGrowth(4 * mib + 1));
  t.ok(pool.takeGrowth(4 * mib));
  t.ok(pool.takeGrowth(2 * mib));
  t.ok(pool.takeGrowth(65_536), 'whoever comes late still finds some');
  pool.returnGrowth(14 * mib + 65_536);
  t.strictSame(pool.promised, { base: 0, growth: 0 });
});
