import { formatAddress, type LocalAddress } from './core/address.ts';
import type { Clock, Timer } from './core/clock.ts';
import { LockwireError, messageOf } from './core/errors.ts';
import { type Log, type Metrics, noMetrics } from './core/ports.ts';
import { type BoundAddresses, boundAddresses } from './transport/bound-addresses.ts';

export interface BypassOptions {
  readonly to: LocalAddress;
  /** Refuse to serve a port that is bound beyond loopback. */
  readonly required: boolean;
}

export interface BypassPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics?: Metrics;
  readonly look?: (port: number) => Promise<BoundAddresses>;
}

const lookEveryMs = 3_600_000;
/** Between two looks for a host that is not there yet. */
const leastLookMs = 60_000;

/**
 * Whether the host that an expose serves can be reached past Lockwire as well, because its port is bound beyond loopback.
 * Looks at start, each hour, and when a host that was not there has come.
 */
export class BypassWatch {
  /** Resolves where `required` and the port came to be bound beyond loopback after the start. */
  readonly forbidden: Promise<LockwireError>;
  readonly #options: BypassOptions;
  readonly #ports: BypassPorts;
  readonly #look: (port: number) => Promise<BoundAddresses>;
  readonly #forbid: (error: LockwireError) => void;
  #beyond: readonly string[] = [];
  #hostSeen = false;
  #toldUnknown = false;
  #lookedAtMs = 0;
  /** Wall time of the last look that could be had. */
  #toldAtMs = 0;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(options: BypassOptions, ports: BypassPorts) {
    this.#options = options;
    this.#ports = ports;
    const { metrics = noMetrics } = ports;
    metrics.gauge(
      'lockwire_expose_bypass',
      '1 while the host can be reached past Lockwire: its port is bound beyond loopback.',
      () => (this.#beyond.length > 0 ? 1 : 0),
    );
    metrics.gauge(
      'lockwire_expose_bypass_look_timestamp_seconds',
      'When that was last found out, in seconds since 1970; 0 where it never was.',
      () => this.#toldAtMs / 1_000,
    );
    this.#look = ports.look ?? (port => boundAddresses(port));
    const { promise, resolve } = Promise.withResolvers<LockwireError>();
    this.forbidden = promise;
    this.#forbid = resolve;
  }

  /** Addresses beyond loopback at the last look. */
  get beyond(): readonly string[] {
    return this.#beyond;
  }

  /** Throws `denied` where it is required that there is no way past, and there is one or nobody can tell. */
  async start(): Promise<void> {
    const { to, required } = this.#options;
    if (to.kind === 'unix') return;
    const problem = await this.#lookOnce(to.port);
    if (required && problem) throw problem;
    this.#again();
  }

  /** The host was reached. */
  reached(): void {
    const { to } = this.#options;
    if (to.kind === 'unix' || this.#hostSeen || this.#stopped) return;
    if (this.#ports.clock.monotonic() - this.#lookedAtMs >= leastLookMs) void this.#lookAgain(to.port);
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #again(): void {
    const { to } = this.#options;
    if (to.kind === 'unix' || this.#stopped) return;
    this.#timer?.cancel();
    this.#timer = this.#ports.clock.after(lookEveryMs, () => void this.#lookAgain(to.port));
  }

  async #lookAgain(port: number): Promise<void> {
    const problem = await this.#lookOnce(port);
    // That the table could not be read now is no proof of anything: it is looked at again.
    if (this.#options.required && problem && this.#beyond.length > 0) this.#forbid(problem);
    else this.#again();
  }

  /** Says what has changed; gives what is wrong. Never throws. */
  async #lookOnce(port: number): Promise<LockwireError | undefined> {
    this.#lookedAtMs = this.#ports.clock.monotonic();
    try {
      const { loopback, beyond } = await this.#look(port);
      this.#toldAtMs = this.#ports.clock.now();
      this.#hostSeen = loopback || beyond.length > 0;
      this.#tell(beyond);
      this.#beyond = beyond;
      return beyond.length > 0 ? this.#denied(`is bound beyond loopback (${beyond.join(', ')})`) : undefined;
    } catch (error) {
      if (!this.#toldUnknown) this.#ports.log.warn({ detail: messageOf(error) }, unknown);
      this.#toldUnknown = true;
      return this.#denied(`may be bound beyond loopback: ${messageOf(error)}`);
    }
  }

  #tell(beyond: readonly string[]): void {
    if (beyond.join() === this.#beyond.join()) return;
    const to = formatAddress(this.#options.to);
    if (beyond.length > 0) this.#ports.log.warn({ to, bound: beyond }, wayPast);
    else this.#ports.log.info({ to }, 'the host is bound to loopback only now');
  }

  #denied(what: string): LockwireError {
    const text = `${formatAddress(this.#options.to)} ${what}, and --require-no-bypass refuses that: ${remedy}`;
    return new LockwireError('denied', text);
  }
}

const remedy = 'bind the host to 127.0.0.1, or to a unix socket';
const wayPast = `the host can be reached past lockwire: its port is bound beyond loopback; ${remedy}`;
const unknown = 'this system does not tell whether the host is bound beyond loopback';
