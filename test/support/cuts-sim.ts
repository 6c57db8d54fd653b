import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { LockwireError } from '../../lib/core/errors.ts';
import { type Carrier, type CarrierEvents, type DialledConnection, silentLog } from '../../lib/core/ports.ts';
import type { CloseReason } from '../../lib/core/session.ts';
import { defaultRedial, TunnelClient } from '../../lib/tunnel/client.ts';
import { acceptTunnel } from '../../lib/tunnel/handshake-accept.ts';
import { defaultTunnelLimits, type TunnelLimits } from '../../lib/tunnel/options.ts';
import type { TunnelSession } from '../../lib/tunnel/session.ts';
import type { SessionPorts } from '../../lib/tunnel/session-ports.ts';
import type { TunnelStream } from '../../lib/tunnel/stream.ts';
import { WindowPool } from '../../lib/tunnel/window-pool.ts';
import type { Role } from '../../lib/wire/tunnel/frames.ts';
import type { Random } from './fuzz.ts';
import { identity, ManualClock, makeInstanceKey } from './tunnel-pair.ts';

/**
 * A real tunnel client and the gateway's real sessions over a network that exists only here: bytes, closes and completed
 * writes each take their own time, connections break in every way there is, and all of it by one seed and one clock.
 */

/** Who hears of a cut: both ends, at moments of their own, or one; or nobody, as of a black hole. */
export const cutKinds = ['reset', 'end', 'client-only', 'gateway-only', 'black-hole'] as const;
export type CutKind = (typeof cutKinds)[number];

export type Delivery = 'whole' | 'parts' | 'one-byte';

const gone = Object.assign(new Error('connection reset'), { code: 'ECONNRESET' });
const silence = Object.assign(new Error('no route'), { code: 'ETIMEDOUT' });

class SimCarrier implements Carrier {
  peer!: SimCarrier;
  events: CarrierEvents | undefined;
  readonly #clock: ManualClock;
  readonly #random: Random;
  readonly #delivery: Delivery;
  /** Nothing that this end sends arrives any more, and nobody says so. */
  swallowed = false;
  #closed = false;
  #ended = false;
  #lastArrivalMs = 0;

  constructor(clock: ManualClock, random: Random, delivery: Delivery) {
    this.#clock = clock;
    this.#random = random;
    this.#delivery = delivery;
  }

  get closed(): boolean {
    return this.#closed;
  }

  start(events: CarrierEvents): void {
    this.events = events;
  }

  write(chunks: readonly Uint8Array[], done: () => void): void {
    assert.ok(!this.#ended, 'a write after the end');
    const bytes = Buffer.concat(chunks);
    assert.ok(bytes.byteLength > 0, 'an empty write');
    if (this.#closed) return;
    for (const part of this.#parts(bytes)) this.#arrive(peer => peer.data(part));
    // Before or after it arrives: the kernel says that it took the bytes, and no more.
    this.#clock.after(this.#random.int(30), () => {
      if (!this.#closed && !this.swallowed) done();
    });
  }

  end(): void {
    if (this.#ended || this.#closed) return;
    this.#ended = true;
    this.#arrive(peer => peer.end());
  }

  destroy(): void {
    if (this.#closed) return;
    this.breaks(undefined);
    if (!this.swallowed) this.#clock.after(this.#random.int(50), () => this.peer.breaks(gone));
  }

  pause(): void {
    throw new Error('a tunnel never pauses its carrier');
  }

  resume(): void {}

  /** This end sees the connection break; its close comes in a moment. */
  breaks(error: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#clock.after(this.#random.int(10), () => this.events?.closed(error));
  }

  /** The other end half-closes, as far as this one can see. */
  hearsEnd(): void {
    if (!this.#closed) this.events?.end();
  }

  #parts(bytes: Buffer): Buffer[] {
    if (this.#delivery === 'whole') return [bytes];
    // A long run of single bytes is no better than a short one.
    const single = this.#delivery === 'one-byte' ? Math.min(bytes.byteLength, 200) : 0;
    const parts: Buffer[] = [];
    for (let at = 0; at < bytes.byteLength; ) {
      const size = parts.length < single ? 1 : 1 + this.#random.size(40_000);
      parts.push(bytes.subarray(at, at + size));
      at += size;
    }
    return parts;
  }

  /** In order, each a while after the one before. */
  #arrive(event: (peer: CarrierEvents) => void): void {
    const now = this.#clock.monotonic();
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, now + 1 + this.#random.int(40));
    this.#clock.after(this.#lastArrivalMs - now, () => {
      if (this.swallowed || this.peer.#closed) return;
      if (this.peer.events) event(this.peer.events);
    });
  }
}

/** The byte at an offset of a stream's direction: whatever is lost, doubled or swapped shows. */
const byteAt = (stream: number, byOpener: boolean, offset: number): number =>
  (offset * 31 + stream * 7 + (byOpener ? 101 : 0) + (offset >> 8) * 13) & 0xff;

/** One end of one stream: writes what is expected, compares what comes. */
export class SimEnd {
  readonly stream: TunnelStream;
  readonly #opener: boolean;
  wanted = 0;
  written = 0;
  flushed = 0;
  read = 0;
  consumed = 0;
  stalled = false;
  ending = false;
  peerEnded = false;
  closed: CloseReason | undefined;
  /** Kept, not thrown: a throw out of a callback ends the session, and that would be all that is seen. */
  fault: string | undefined;

  constructor(stream: TunnelStream, opener: boolean) {
    this.stream = stream;
    this.#opener = opener;
    stream.start({
      data: chunk => {
        this.#expect(!this.closed && !this.peerEnded, 'data after the end');
        for (const byte of chunk) {
          this.#expect(byte === byteAt(stream.id, !opener, this.read), `byte ${this.read} is another`);
          this.read += 1;
        }
        this.#consume();
      },
      end: () => {
        this.#expect(!this.closed && !this.peerEnded, 'a second end');
        this.peerEnded = true;
      },
      flushed: bytes => {
        this.#expect(!this.closed, 'flushed after closed');
        this.flushed += bytes;
        this.#expect(this.flushed <= this.written, 'flushed more than was written');
        this.#write();
      },
      closed: reason => {
        this.#expect(!this.closed, 'closed twice');
        this.closed = reason;
      },
    });
  }

  #expect(holds: boolean, what: string): void {
    if (!holds) this.fault ??= `stream ${this.stream.id}: ${what}`;
  }

  write(bytes: number): void {
    if (this.ending || this.closed) return;
    this.wanted += bytes;
    this.#write();
  }

  end(): void {
    if (this.ending || this.closed) return;
    this.ending = true;
    this.#write();
  }

  stall(stalled: boolean): void {
    this.stalled = stalled;
    this.#consume();
  }

  #consume(): void {
    const bytes = this.read - this.consumed;
    if (this.stalled || this.closed || bytes === 0) return;
    this.consumed += bytes;
    this.stream.consume(bytes);
  }

  /** As a relay under credit: no more than a window of its source is on its way. */
  #write(): void {
    while (this.written < this.wanted && this.written - this.flushed < sourceWindow && !this.closed) {
      const bytes = Math.min(
        this.wanted - this.written,
        sourceWindow - (this.written - this.flushed),
        20_000,
      );
      const chunk = Buffer.alloc(bytes);
      for (let i = 0; i < bytes; i += 1) chunk[i] = byteAt(this.stream.id, this.#opener, this.written + i);
      this.written += bytes;
      this.stream.write(chunk);
    }
    if (this.ending && this.written === this.wanted && !this.closed) this.stream.end();
  }
}

const sourceWindow = 65_536;

export interface SimStream {
  readonly opener: SimEnd;
  acceptor: SimEnd | undefined;
  reset: boolean;
}

export interface SimOptions {
  readonly random: Random;
  readonly role: Role;
  readonly delivery: Delivery;
  readonly limits: Partial<TunnelLimits>;
  /** Sessions are given up as in earnest; else never. */
  readonly patient: boolean;
}

const forever = 1e9;

export class Simulation {
  readonly clock: ManualClock = new ManualClock();
  readonly limits: TunnelLimits;
  readonly streams: SimStream[] = [];
  readonly client: TunnelClient;
  readonly #options: SimOptions;
  readonly #gatewayKey = makeInstanceKey();
  readonly #known = new Map<string, { session: TunnelSession; secret: Uint8Array }>();
  readonly #pools = [new WindowPool(), new WindowPool()] as const;
  /** Of each stream that was opened and has not come to the other end, what it is there. */
  readonly #expected = new Map<string, SimStream>();
  #connection: [SimCarrier, SimCarrier] | undefined;
  #down: 'up' | 'refused' | 'swallowed' = 'up';
  #clientSession: TunnelSession | undefined;
  #gatewaySession: TunnelSession | undefined;
  resumes = 0;
  sessions = 0;

  constructor(options: SimOptions) {
    this.#options = options;
    const patience = options.patient ? { patienceMs: forever, closedPatienceMs: forever } : {};
    this.limits = { ...defaultTunnelLimits, openTimeoutMs: forever, ...patience, ...options.limits };
    this.client = new TunnelClient(
      {
        ...defaultRedial,
        ...(options.patient ? { refusedForMs: forever } : {}),
        role: options.role,
        target: options.role === 'expose' ? 'autogen' : '',
        instanceKey: makeInstanceKey(),
        software: 'test',
      },
      {
        clock: this.clock,
        log: silentLog,
        limits: this.limits,
        pool: this.#pools[0],
        dial: () => this.#dial(),
        token: async () => 'a.b.c',
        onOpen: stream => this.#opened(stream, this.#clientSession),
        onNotice() {},
        onUp: ({ session }) => {
          this.#clientSession = session;
          this.sessions += 1;
        },
        onResumed: () => {
          this.resumes += 1;
        },
        onDown() {},
      },
    );
    this.client.startPatiently();
  }

  /** 0 to 1, by the seed. */
  chance(): number {
    return this.#options.random.int(1 << 30) / (1 << 30);
  }

  /** Who opens streams: the client of a connect, the gateway towards an expose. */
  get opener(): TunnelSession | undefined {
    const session = this.#options.role === 'connect' ? this.#clientSession : this.#gatewaySession;
    return session?.state === 'open' ? session : undefined;
  }

  open(): void {
    const session = this.opener;
    if (session === undefined || this.streams.filter(({ opener }) => !opener.closed).length >= 8) return;
    const stream = session.open('autogen', 'unix');
    const opened: SimStream = { opener: new SimEnd(stream, true), acceptor: undefined, reset: false };
    this.streams.push(opened);
    this.#expected.set(`${session.facts.id}/${stream.id}`, opened);
  }

  cut(kind: CutKind): void {
    const { random } = this.#options;
    if (this.#connection === undefined) return;
    const [near, far] = this.#connection;
    const soon = (event: () => void): void => void this.clock.after(random.int(200), event);
    if (kind !== 'end') {
      near.swallowed = true;
      far.swallowed = true;
    }
    switch (kind) {
      case 'reset':
        soon(() => near.breaks(gone));
        soon(() => far.breaks(gone));
        return;
      case 'end':
        // What is on its way may still come, but for what comes behind the end.
        soon(() => near.hearsEnd());
        soon(() => far.hearsEnd());
        return;
      case 'client-only':
        return soon(() => near.breaks(gone));
      case 'gateway-only':
        // By silence, as where its own pings found out: what is closed it keeps for seconds only.
        return soon(() => far.breaks(silence));
      case 'black-hole':
        return;
    }
  }

  /** Nothing gets through for a while. */
  outage(ms: number, how: 'refused' | 'swallowed'): void {
    this.#down = how;
    this.clock.after(ms, () => {
      if (this.#down === how) this.#down = 'up';
    });
  }

  /** Events due in the next so many milliseconds, one after the other. */
  async pass(ms: number): Promise<void> {
    await turn();
    for (const until = this.clock.monotonic() + ms; this.clock.monotonic() < until; ) {
      const next = Math.min(until, this.clock.nextMs ?? until);
      this.clock.advance(Math.max(0, next - this.clock.monotonic()));
      await turn();
      this.check();
    }
  }

  /** What holds at every moment. */
  check(): void {
    for (const { opener, acceptor } of this.streams) {
      assert.equal(opener.fault ?? acceptor?.fault, undefined);
    }
    const live = this.streams.filter(({ opener, acceptor }) => !opener.closed || !acceptor?.closed).length;
    const { maxUnackedBytes, maxUnackedControlBytes, maxControlQueueBytes } = this.limits;
    for (const session of [this.#clientSession, this.#gatewaySession]) {
      if (session === undefined || session.state === 'closed') continue;
      const { sent, acked } = session.offsets;
      assert.ok(sent - acked <= maxUnackedBytes + maxUnackedControlBytes, `${sent - acked} B unacknowledged`);
      const { base, growth } = this.#pools[session === this.#clientSession ? 0 : 1].promised;
      const most =
        maxUnackedBytes +
        maxUnackedControlBytes +
        maxControlQueueBytes +
        live * (sourceWindow + this.limits.earlyWindowBytes) +
        base +
        growth;
      assert.ok(session.heldBytes <= most, `${session.heldBytes} B held, at most ${most}`);
    }
  }

  /** The network is well and readers read: all that was written arrives, and every stream comes to its end. */
  async finish(): Promise<void> {
    this.#down = 'up';
    for (const { opener, acceptor } of this.streams) {
      opener.end();
      for (const end of [opener, acceptor]) end?.stall(false);
    }
    for (let waited = 0; !this.#isOver(); waited += 1_000) {
      // Two minutes: patience, and what a black hole takes to be found out.
      assert.ok(waited < 300_000, `hangs: ${this.#unfinished()}`);
      await this.pass(1_000);
      for (const { acceptor } of this.streams) acceptor?.end();
    }
    for (const stream of this.streams) this.#judge(stream);
    for (const { promised } of this.#pools) assert.deepEqual(promised, { base: 0, growth: 0 });
  }

  #judge({ opener, acceptor, reset }: SimStream): void {
    const name = `stream ${opener.stream.id}`;
    const codes = [opener.closed?.code, acceptor?.closed?.code];
    if (opener.closed?.code === 'done' && acceptor?.closed?.code === 'done') {
      assert.equal(acceptor.read, opener.written, `${name}: whole at the acceptor`);
      assert.equal(opener.read, acceptor.written, `${name}: whole at the opener`);
      return;
    }
    if (reset) return;
    assert.ok(!this.#options.patient, `${name} ended with ${codes} though nobody reset it`);
    for (const code of codes)
      assert.ok(!code || code === 'done' || code === 'session-lost', `${name}: ${codes}`);
  }

  #isOver(): boolean {
    return this.streams.every(({ opener, acceptor }) => opener.closed && (!acceptor || acceptor.closed));
  }

  #unfinished(): string {
    const open = this.streams.filter(({ opener, acceptor }) => !opener.closed || !acceptor?.closed);
    return JSON.stringify({
      client: [this.#clientSession?.state, this.#clientSession?.attached, this.#clientSession?.offsets],
      gateway: [this.#gatewaySession?.state, this.#gatewaySession?.attached, this.#gatewaySession?.offsets],
      streams: open.map(({ opener, acceptor }) =>
        [opener, acceptor].map(end => end && { ...end, stream: 0 }),
      ),
    });
  }

  #opened(stream: TunnelStream, session: TunnelSession | undefined): void {
    const opened = this.#expected.get(`${session?.facts.id}/${stream.id}`);
    assert.ok(opened, `stream ${stream.id}, which nobody opened`);
    assert.ok(!opened.acceptor, `stream ${stream.id} is opened twice`);
    opened.acceptor = new SimEnd(stream, false);
    this.clock.after(this.#options.random.int(100), () => stream.accept());
  }

  async #dial(): Promise<DialledConnection> {
    const { random, delivery } = this.#options;
    await new Promise<void>(resolve => void this.clock.after(1 + random.int(60), resolve));
    if (this.#down === 'refused') {
      const cause = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
      throw new LockwireError('unavailable', 'cannot be reached', { cause });
    }
    if (this.#down === 'swallowed') return await new Promise<never>(() => {});
    const near = new SimCarrier(this.clock, random, delivery);
    const far = new SimCarrier(this.clock, random, delivery);
    near.peer = far;
    far.peer = near;
    this.#connection = [near, far];
    const exporter = randomBytes(32);
    void this.#accept(far, exporter);
    return { carrier: near, exporter: () => exporter, facts: { version: '', cipher: '', resumed: false } };
  }

  async #accept(carrier: SimCarrier, exporter: Uint8Array): Promise<void> {
    const id = `s${randomBytes(6).toString('hex')}`;
    let own: TunnelSession | undefined;
    const ports: SessionPorts = {
      clock: this.clock,
      limits: this.limits,
      pool: this.#pools[1],
      onOpen: stream => this.#opened(stream, own),
      onNotice() {},
      onGoAway() {},
      onRenew: async () => ({ expiresAt: 1 }),
      onRenewed() {},
      onDetached() {},
      onClosed: () => this.#known.delete(id),
    };
    try {
      const admitted = await acceptTunnel(
        carrier,
        { session: id, gatewayKey: this.#gatewayKey, instance: 'g', instances: 1, exporter },
        async (_hello, resume) => {
          await new Promise<void>(resolve => void this.clock.after(this.#options.random.int(80), resolve));
          const known = resume && this.#known.get(resume.session);
          return known?.session.resumable ? { ...identity, resume: known } : identity;
        },
        { clock: this.clock, limits: this.limits },
        () => ports,
      );
      if (admitted.resumed || admitted.session.state === 'closed') return;
      own = admitted.session;
      this.#gatewaySession = own;
      this.#known.set(id, admitted);
    } catch (error) {
      assert.ok(error instanceof LockwireError, String(error));
      assert.notEqual(error.code, 'protocol', error.message);
      assert.notEqual(error.code, 'denied', error.message);
    }
  }
}

/** Lets what was set off happen: promises, and what waits for the end of this round of reads. */
async function turn(): Promise<void> {
  await new Promise<void>(resolve => setImmediate(resolve));
  await new Promise<void>(resolve => setImmediate(resolve));
}
