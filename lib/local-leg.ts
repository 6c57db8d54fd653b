import type { Clock } from './core/clock.ts';
import type { ByteStream, Log } from './core/ports.ts';
import { type CloseReason, done, type LocalLeg } from './core/session.ts';
import { type RelayHandle, relay } from './relay/tcp.ts';

/** The streams of one `connect` or `expose`: each a local connection joined to a tunnel stream. */
export class LocalLegs {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #live = new Set<RelayHandle>();

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  get count(): number {
    return this.#live.size;
  }

  /** `client` is the end that asked: the local one at `connect`, the tunnel's at `expose`. */
  join(client: ByteStream, upstream: ByteStream, session: string, target: string, address: string): void {
    const leg: LocalLeg = { session, target, upstream: address, connectedAtMs: this.#clock.now() };
    let ended = false;
    const handle = relay(client, upstream, leg, {
      clock: this.#clock,
      onClosed: closed => {
        ended = true;
        this.#live.delete(handle);
        const { code, text } = closed.reason;
        this.#log[code === done.code ? 'debug' : 'info'](
          {
            session,
            target,
            durationMs: closed.closedAtMs - closed.connectedAtMs,
            bytesUp: closed.bytesUp,
            bytesDown: closed.bytesDown,
            reason: code,
            ...(text ? { detail: text } : {}),
          },
          'stream ended',
        );
      },
    });
    if (!ended) this.#live.add(handle);
  }

  closeAll(reason: CloseReason): void {
    for (const handle of [...this.#live]) handle.close(reason);
  }
}
