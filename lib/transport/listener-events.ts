import type { Clock } from '../core/clock.ts';
import { messageOf } from '../core/errors.ts';
import type { Counter, Log, LogFields, Metrics } from '../core/ports.ts';
import { LeakyBuckets } from './leaky-buckets.ts';

/** Why a listener closed a connection itself. A closed set: it labels a metric. */
export type RefusalKind =
  | 'deadline'
  | 'crowded-out'
  | 'too-many-bytes'
  | 'too-many-failures'
  | 'too-many-connections'
  | 'plain-http'
  | 'not-tls'
  | 'handshake'
  | 'client-certificate'
  | 'no-route';

/** What a listener has to tell: counted always, logged at a bounded rate per source. */
export class ListenerEvents {
  readonly #log: Log;
  readonly #lines: LeakyBuckets;
  readonly #listener: string;
  readonly #accepted: Counter;
  readonly #permitted: Counter;
  readonly #refused: (...values: string[]) => Counter;
  #unlogged = 0;

  constructor(
    listener: string,
    ports: { clock: Clock; log: Log; metrics: Metrics },
    limits: { maxLogLinesPerMinute: number; maxSources: number },
  ) {
    const { clock, log, metrics } = ports;
    this.#listener = listener;
    this.#log = log.child({ listener });
    this.#lines = new LeakyBuckets(clock, {
      size: limits.maxLogLinesPerMinute,
      periodMs: 60_000,
      maxKeys: limits.maxSources,
    });
    const labelled = (name: string, help: string): Counter =>
      metrics.counters(name, help, ['listener'])(listener);
    this.#accepted = labelled('lockwire_connections_accepted_total', 'Connections accepted');
    this.#permitted = labelled(
      'lockwire_connections_permitted_total',
      'Connections whose identity was settled',
    );
    this.#refused = metrics.counters(
      'lockwire_connections_refused_total',
      'Connections that the listener closed before they were permitted',
      ['listener', 'reason'],
    );
  }

  accepted(): void {
    this.#accepted.add();
  }

  permitted(): void {
    this.#permitted.add();
  }

  refused(kind: RefusalKind, source: string, detail: LogFields = {}): void {
    this.#refused(this.#listener, kind).add();
    if (!this.#lines.add(source)) {
      this.#unlogged += 1;
      return;
    }
    const unlogged = this.#unlogged > 0 ? { unlogged: this.#unlogged } : {};
    this.#unlogged = 0;
    this.#log.warn({ source, reason: kind, ...detail, ...unlogged }, 'connection refused');
  }

  faulted(error: unknown, session: string): void {
    this.#log.error(
      { session, error: messageOf(error) },
      'internal error: a connection could not be taken on',
    );
  }

  failed(error: Error): void {
    this.#log.error({ error: error.message }, 'cannot accept connections');
  }
}
