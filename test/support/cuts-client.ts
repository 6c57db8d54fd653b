import { randomBytes } from 'node:crypto';
import { LockwireError } from '../../lib/core/errors.ts';
import { type DialledConnection, type Log, silentLog } from '../../lib/core/ports.ts';
import type { CloseReason } from '../../lib/core/session.ts';
import { defaultRedial, TunnelClient, type TunnelClientOptions } from '../../lib/tunnel/client.ts';
import { acceptTunnel } from '../../lib/tunnel/handshake-accept.ts';
import { defaultTunnelLimits, type TunnelLimits } from '../../lib/tunnel/options.ts';
import { RefusedHello } from '../../lib/tunnel/refused-hello.ts';
import type { TunnelSession } from '../../lib/tunnel/session.ts';
import type { SessionPorts } from '../../lib/tunnel/session-ports.ts';
import { WindowPool } from '../../lib/tunnel/window-pool.ts';
import { identity, ManualClock, makeInstanceKey, type PipeEnd, pipe, quiet } from './tunnel-pair.ts';

/** How the next dials go: answered by the gateway, refused by its port, or swallowed by the network. */
type Network = 'up' | 'refused' | 'swallowed';

/** A real TunnelClient, and a gateway that keeps its sessions until it `forgets`. */
export class ClientWorld {
  readonly clock: ManualClock = new ManualClock();
  readonly client: TunnelClient;
  network: Network = 'up';
  /** Of each dial, when it came. */
  readonly dials: number[] = [];
  /** The gateway's. */
  readonly sessions: TunnelSession[] = [];
  readonly renewals: string[] = [];
  readonly resumed: number[] = [];
  readonly down: LockwireError[] = [];
  readonly ups: TunnelSession[] = [];
  /** The gateway's ends of the streams, closed with what. */
  readonly closed: CloseReason[] = [];
  expiresAtMs = 1_900_000_000_000;
  token = 'a.b.c';
  /** Reading the token's file fails with this. */
  unreadable: LockwireError | undefined;
  /** The gateway refuses these tokens with that reason, as a Hello or a renewal. */
  readonly refused: Map<string, CloseReason> = new Map();
  /** What the gateway's answer to a renewal says; `expiresAtMs` where absent. */
  renewedUntilMs: number | undefined;
  /** Warnings of the client's log. */
  readonly warnings: { readonly fields: Readonly<Record<string, unknown>>; readonly message: string }[] = [];
  /** Called in the moment that the gateway resumed a session, before the client knows. */
  onAccepted: () => void = () => {};
  carriers: [PipeEnd, PipeEnd] = pipe();
  readonly #known = new Map<string, { session: TunnelSession; secret: Uint8Array }>();
  readonly #limits: TunnelLimits;
  readonly #gatewayKey = makeInstanceKey();

  constructor(limits: Partial<TunnelLimits> = {}, options: Partial<TunnelClientOptions> = {}) {
    this.#limits = { ...defaultTunnelLimits, ...limits };
    this.client = new TunnelClient(
      {
        ...defaultRedial,
        role: 'connect',
        target: '',
        instanceKey: makeInstanceKey(),
        software: 'test',
        ...options,
      },
      {
        clock: this.clock,
        log: this.#log(),
        limits: this.#limits,
        pool: new WindowPool(),
        dial: () => this.#dial(),
        token: async () => {
          if (this.unreadable) throw this.unreadable;
          return this.token;
        },
        onOpen: stream => stream.accept(),
        onNotice() {},
        onUp: ({ session }) => this.ups.push(session),
        onResumed: awayMs => this.resumed.push(awayMs),
        onDown: error => this.down.push(error),
      },
    );
  }

  /** The client's own session now. */
  get session(): TunnelSession | undefined {
    return this.ups.at(-1);
  }

  get gatewaySession(): TunnelSession | undefined {
    return this.sessions.at(-1);
  }

  async start(): Promise<void> {
    this.client.startPatiently();
    await quiet();
  }

  /** Both ends see a reset. */
  cut(): void {
    for (const carrier of this.carriers) carrier.breakOff();
  }

  /** As a gateway that was killed and started again. */
  forget(): void {
    this.#known.clear();
  }

  async pass(ms: number, stepMs = 50): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      this.clock.advance(Math.min(stepMs, left));
      await quiet(4);
    }
  }

  #log(): Log {
    return { ...silentLog, warn: (fields, message) => this.warnings.push({ fields, message }) };
  }

  async #dial(): Promise<DialledConnection> {
    this.dials.push(this.clock.monotonic());
    if (this.network === 'refused') {
      const cause = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
      throw new LockwireError('unavailable', 'the gateway cannot be reached: ECONNREFUSED', { cause });
    }
    const carriers = pipe();
    const exporter = randomBytes(32);
    if (this.network === 'up') void this.#accept(carriers[1], exporter);
    this.carriers = carriers;
    return {
      carrier: carriers[0],
      exporter: () => exporter,
      facts: { version: 'TLSv1.3', cipher: '', resumed: false },
    };
  }

  async #accept(carrier: PipeEnd, exporter: Uint8Array): Promise<void> {
    const id = `s${randomBytes(4).toString('hex')}`;
    const ports: SessionPorts = {
      clock: this.clock,
      limits: this.#limits,
      pool: new WindowPool(),
      onOpen: stream => {
        stream.accept();
        stream.start({
          data: chunk => {
            stream.write(chunk);
            stream.consume(chunk.byteLength);
          },
          end: () => stream.end(),
          flushed() {},
          closed: reason => this.closed.push(reason),
        });
      },
      onNotice() {},
      onGoAway() {},
      onRenew: async token => {
        this.renewals.push(token);
        const refusal = this.refused.get(token);
        if (refusal) throw new RefusedHello(refusal);
        return { expiresAt: this.renewedUntilMs ?? this.expiresAtMs };
      },
      onRenewed() {},
      onDetached() {},
      onClosed: () => this.#known.delete(id),
    };
    try {
      const admitted = await acceptTunnel(
        carrier,
        { session: id, gatewayKey: this.#gatewayKey, instance: 'g', instances: 1, exporter },
        async (hello, resume) => {
          const refusal = this.refused.get(hello.token);
          if (refusal) throw new RefusedHello(refusal);
          const known = resume && this.#known.get(resume.session);
          const { credential } = identity;
          const own = { ...identity, credential: { ...credential, expiresAtMs: this.expiresAtMs } };
          return known ? { ...own, resume: known } : own;
        },
        { clock: this.clock, limits: this.#limits },
        () => ports,
      );
      if (!admitted.resumed) {
        this.#known.set(admitted.session.facts.id, admitted);
        this.sessions.push(admitted.session);
      }
      this.onAccepted();
    } catch {
      // The client hears of it.
    }
  }
}
