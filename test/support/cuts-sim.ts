import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { LockwireError } from '../../lib/core/errors.ts';
import { type Carrier, type DialledConnection, silentLog } from '../../lib/core/ports.ts';
import { defaultRedial, TunnelClient } from '../../lib/tunnel/client.ts';
import { acceptTunnel } from '../../lib/tunnel/handshake-accept.ts';
import { defaultTunnelLimits, type TunnelLimits } from '../../lib/tunnel/options.ts';
import type { TunnelSession } from '../../lib/tunnel/session.ts';
import type { SessionPorts } from '../../lib/tunnel/session-ports.ts';
import type { TunnelStream } from '../../lib/tunnel/stream.ts';
import { WindowPool } from '../../lib/tunnel/window-pool.ts';
import type { Role } from '../../lib/wire/tunnel/frames.ts';
import { SimEnd, sourceWindow } from './cuts-end.ts';
import { type Delivery, SimNetwork } from './cuts-network.ts';
import type { Random } from './fuzz.ts';
import { identity, ManualClock, makeInstanceKey } from './tunnel-pair.ts';

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

/** A real tunnel client and the gateway's real sessions, by one seed and one clock, over a network that exists only here. */
export class Simulation {
  readonly clock: ManualClock = new ManualClock();
  readonly limits: TunnelLimits;
  readonly network: SimNetwork;
  readonly streams: SimStream[] = [];
  readonly client: TunnelClient;
  readonly #options: SimOptions;
  readonly #gatewayKey = makeInstanceKey();
  readonly #known = new Map<string, { session: TunnelSession; secret: Uint8Array }>();
  readonly #pools = [new WindowPool(), new WindowPool()] as const;
  /** Of each stream that was opened and has not come to the other end, what it is there. */
  readonly #expected = new Map<string, SimStream>();
  #clientSession: TunnelSession | undefined;
  #gatewaySession: TunnelSession | undefined;
  resumes = 0;
  sessions = 0;

  constructor(options: SimOptions) {
    this.#options = options;
    this.network = new SimNetwork(this.clock, options.random, options.delivery);
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
    this.network.heal();
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
    const [near, far] = await this.network.connect();
    const exporter = randomBytes(32);
    void this.#accept(far, exporter);
    return { carrier: near, exporter: () => exporter, facts: { version: '', cipher: '', resumed: false } };
  }

  async #accept(carrier: Carrier, exporter: Uint8Array): Promise<void> {
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
