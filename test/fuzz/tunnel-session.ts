import assert from 'node:assert/strict';
import fc from 'fast-check';
import { defaultTunnelLimits, type TunnelLimits } from '../../lib/tunnel/options.ts';
import type { TunnelStream } from '../../lib/tunnel/stream.ts';
import type { ControlFrame, Role } from '../../lib/wire/tunnel/frames.ts';
import { type FuzzTarget, mutate, type Random } from '../support/fuzz.ts';
import { encodeItem, itemArbitrary } from '../support/tunnel-frames.ts';
import { type AgainstRogue, againstRogue, type Rogue, settle } from '../support/tunnel-rogue.ts';

const anything = fc.sample(itemArbitrary(), { numRuns: 100, seed: 2 }).map(encodeItem);
const verdict = { code: 'cancelled', text: '', decision: '' } as const;

/** Small, so that a short run meets them. */
const small: TunnelLimits = {
  ...defaultTunnelLimits,
  maxStreams: 5,
  maxPendingOpens: 3,
  opensBurst: 20,
  maxRememberedResets: 4,
  maxUnackedBytes: 100_000,
  maxControlQueueBytes: 4_096,
  maxUnackedControlBytes: 4_096,
  sessionGrowthBytes: 200_000,
};

/**
 * A real session whose peer sends frames that are almost right, while its own streams are used and misused. Nothing is
 * thrown out of it, no bound is passed, `closed` is each stream's last word, and at the end nothing is held.
 */
export const target: FuzzTarget = {
  async once(random) {
    const side = random.pick(['dialler', 'gateway'] as const);
    const role: Role = random.pick(['connect', 'expose']);
    const limits = random.chance(0.7) ? small : defaultTunnelLimits;
    const owners: Owner[] = [];
    const own = (stream: TunnelStream): void => {
      owners.push(new Owner(stream, random));
    };
    const a = againstRogue({ side, role, limits, onOpen: own });
    a.rogue.acks = random.chance(0.8);
    a.rogue.pongs = random.chance(0.8);
    const peer = new Peer(a, random);
    for (let steps = 10 + random.int(200); steps > 0; steps -= 1) {
      if (random.chance(0.1)) inOneRead(a.rogue, () => times(random.int(20), () => peer.act()));
      else if (random.chance(0.6)) peer.act();
      else local(random, a, owners, own);
      if (random.chance(0.3)) await settle(1);
      check(a, owners, limits);
    }
    await end(random, a, owners);
  },
};

/** Whoever reads a stream: remembers what is outstanding, and that nothing follows `closed`. */
class Owner {
  readonly stream: TunnelStream;
  outstanding = 0;
  closed = false;
  started = false;
  readonly #random: Random;

  constructor(stream: TunnelStream, random: Random) {
    this.stream = stream;
    this.#random = random;
    if (random.chance(0.7)) this.start();
  }

  start(): void {
    if (this.started) return;
    this.started = true;
    this.stream.start({
      data: chunk => {
        assert.ok(!this.closed, 'data after closed');
        this.outstanding += chunk.byteLength;
        this.#meddle();
      },
      end: () => {
        assert.ok(!this.closed, 'end after closed');
        this.#meddle();
      },
      flushed: () => {
        assert.ok(!this.closed, 'flushed after closed');
        this.#meddle();
      },
      closed: () => {
        assert.ok(!this.closed, 'closed twice');
        this.closed = true;
        this.#meddle();
      },
    });
  }

  use(): void {
    const random = this.#random;
    switch (random.int(6)) {
      case 0:
        if (!this.stream.ours) this.stream.accept();
        return;
      case 1:
        return this.stream.write(Buffer.alloc(random.size(100_000)));
      case 2:
        return this.stream.end();
      case 3:
        return this.stream.reset({
          code: random.pick(['done', 'cancelled', 'io']),
          text: 'x'.repeat(random.size(3_000)),
        });
      case 4:
        return this.start();
      default: {
        const bytes = random.int(this.outstanding + 1);
        this.outstanding -= bytes;
        this.stream.consume(bytes);
      }
    }
  }

  /** From inside a callback, now and then. */
  #meddle(): void {
    if (this.#random.chance(0.1)) this.use();
  }
}

/** What an honest peer keeps of each stream; the hostile one knows it too, and breaks it on purpose. */
class Peer {
  readonly #a: AgainstRogue;
  readonly #random: Random;
  /** How often it breaks a rule: seldom, or a session never gets far. */
  readonly #rude: number;
  readonly #opens: boolean;
  readonly #streams = new Map<number, { limit: number; sent: number; ended: boolean; opened: boolean }>();
  #seen = 0;
  #nextId: number;

  constructor(a: AgainstRogue, random: Random) {
    this.#a = a;
    this.#random = random;
    this.#rude = random.pick([0, 0.005, 0.05, 0.3]);
    const { side, role } = a.session.facts;
    this.#opens = (side === 'gateway') === (role === 'connect');
    this.#nextId = side === 'gateway' ? 1 : 2;
  }

  act(): void {
    this.#look();
    if (this.#random.chance(this.#rude)) this.#breakRule();
    else this.#keepRules();
  }

  /** What the session sent meanwhile. */
  #look(): void {
    const early = this.#a.session.limits.earlyWindowBytes;
    const { items } = this.#a.rogue.got;
    for (; this.#seen < items.length; this.#seen += 1) {
      const item = items[this.#seen]!;
      if (!('frame' in item)) continue;
      const { stream, frame } = item;
      if (frame.type === 'open')
        this.#streams.set(stream, { limit: early, sent: 0, ended: false, opened: false });
      else if (frame.type === 'reset') this.#streams.delete(stream);
      else if (frame.type === 'opened' || frame.type === 'credit') {
        const known = this.#streams.get(stream);
        if (known) known.limit = frame.limit;
      }
    }
  }

  #keepRules(): void {
    const { rogue, session } = this.#a;
    const random = this.#random;
    if (random.chance(0.05)) {
      rogue.stuck = !rogue.stuck;
      if (!rogue.stuck) rogue.read();
    }
    if (random.chance(0.03)) rogue.send(0, { type: 'ping', value: random.int(1_000) });
    if (this.#opens && random.chance(0.15)) {
      const { earlyWindowBytes } = session.limits;
      this.#streams.set(this.#nextId, { limit: earlyWindowBytes, sent: 0, ended: false, opened: true });
      rogue.open(this.#nextId);
      this.#nextId += 2;
    }
    if (this.#streams.size === 0) return;
    const [id, stream] = random.pick([...this.#streams]);
    if (!stream.opened) {
      stream.opened = true;
      return rogue.send(id, { type: 'opened', limit: 65_536 });
    }
    const choice = random.int(12);
    if (choice === 0) {
      this.#streams.delete(id);
      return rogue.send(id, { type: 'reset', ...verdict });
    }
    if (choice === 1 && !stream.ended) {
      stream.ended = true;
      return rogue.send(id, { type: 'end' });
    }
    if (choice < 4) return rogue.send(id, { type: 'credit', limit: 1e6 + this.#seen });
    const bytes = Math.min(stream.limit - stream.sent, 65_536, 1 + random.size(65_535));
    if (stream.ended || bytes <= 0) return;
    stream.sent += bytes;
    rogue.data(id, Buffer.alloc(bytes));
  }

  #breakRule(): void {
    const { rogue, session } = this.#a;
    const random = this.#random;
    const stream = 1 + random.int(random.chance(0.9) ? this.#nextId + 2 : 1_000);
    const number = random.pick([0, 1, 100, 16_384, 65_536, 1e6, Number.MAX_SAFE_INTEGER]);
    switch (random.int(10)) {
      case 0:
        return rogue.open(stream);
      case 1:
        return rogue.data(stream, Buffer.alloc(1 + random.size(65_535)));
      case 2:
        return rogue.send(stream, { type: random.pick(['credit', 'opened']), limit: number } as ControlFrame);
      case 3:
        return rogue.send(stream, { type: 'end' });
      case 4:
        return rogue.send(stream, { type: 'reset', ...verdict });
      case 5:
        return rogue.send(0, {
          type: 'ack',
          received: random.pick([session.offsets.sent, session.offsets.acked, number]),
        });
      case 6:
        return rogue.send(
          0,
          random.pick<ControlFrame>([
            { type: 'ping', value: number },
            { type: 'pong', value: 1 },
          ]),
        );
      case 7:
        return rogue.send(0, {
          type: 'goAway',
          ...verdict,
          code: random.pick(['shutdown', 'done', 'revoked']),
          lastStream: stream,
        });
      case 8:
        return rogue.raw(random.pick(anything));
      default:
        return rogue.raw(mutate(random, random.pick(anything)));
    }
  }
}

function local(random: Random, a: AgainstRogue, owners: Owner[], own: (stream: TunnelStream) => void): void {
  switch (random.int(12)) {
    case 0:
      return refusable(() => own(a.session.open('autogen', 'unix')));
    case 1:
      return a.clock.advance(random.pick([1, 100, 5_000]));
    case 2:
      if (random.chance(0.9)) return;
      return random.chance(0.5)
        ? a.session.drain({ code: 'shutdown', text: '' })
        : a.session.close({ code: 'revoked', text: 'x'.repeat(random.size(5_000)) });
    case 3:
      return void a.session.notice({ code: 'denied', text: 'no' });
    default:
      if (owners.length > 0) random.pick(owners).use();
  }
}

/** What the peer sends meanwhile arrives as one chunk. */
function inOneRead(rogue: Rogue, send: () => void): void {
  const parts: Uint8Array[] = [];
  rogue.raw = bytes => {
    parts.push(bytes);
  };
  send();
  Reflect.deleteProperty(rogue, 'raw');
  if (parts.length > 0) rogue.raw(Buffer.concat(parts));
}

function times(count: number, work: () => void): void {
  for (let i = 0; i < count; i += 1) work();
}

/** The session may say no, but only as a LockwireError. */
function refusable(work: () => void): void {
  try {
    work();
  } catch (error) {
    assert.equal((error as Error).name, 'LockwireError', String(error));
  }
}

function check(a: AgainstRogue, owners: readonly Owner[], limits: TunnelLimits): void {
  const { base, growth } = a.pool.promised;
  assert.ok(base >= 0 && growth >= 0 && growth <= limits.sessionGrowthBytes, `${base} ${growth}`);
  assert.ok(a.session.streamCount <= limits.maxStreams, `${a.session.streamCount} streams`);
  const held = owners.reduce((sum, owner) => sum + (owner.closed ? 0 : owner.outstanding), 0);
  const early = a.session.streamCount * limits.earlyWindowBytes;
  if (a.session.state === 'open' || a.session.state === 'draining') {
    assert.ok(held <= base + growth + early, `${held} held of ${base} + ${growth} + ${early}`);
    const { sent, acked } = a.session.offsets;
    assert.ok(acked <= sent);
    assert.ok(sent - acked <= limits.maxUnackedBytes + limits.maxUnackedControlBytes + 200_000);
  }
}

async function end(random: Random, a: AgainstRogue, owners: readonly Owner[]): Promise<void> {
  a.rogue.stuck = false;
  a.rogue.read();
  if (random.chance(0.5)) a.rogue.hangUp();
  else a.session.close({ code: 'shutdown', text: '' });
  a.clock.advance(defaultTunnelLimits.lingerMs);
  await settle(3);
  assert.ok(a.closed(), 'it ends');
  assert.equal(a.session.state, 'closed');
  assert.equal(a.session.streamCount, 0);
  assert.deepEqual(a.pool.promised, { base: 0, growth: 0 });
  for (const owner of owners) {
    owner.start();
    assert.ok(owner.closed, `stream ${owner.stream.id} heard of its end`);
  }
}
