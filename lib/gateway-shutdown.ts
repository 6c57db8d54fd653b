import type { Clock } from './core/clock.ts';
import type { CloseReason } from './core/session.ts';
import type { LiveSessions } from './gateway-live.ts';
import type { Admin } from './observe/admin-server.ts';
import type { HeldKey } from './store/instance-key.ts';
import type { Listener } from './transport/listener.ts';
import { defaultTunnelLimits } from './tunnel/options.ts';

export interface NamedListener {
  readonly name: string;
  readonly listener: Listener;
}

const stopping: CloseReason = { code: 'shutdown', text: 'the gateway is shutting down' };

/** Ends a gateway: what others need (port, admin socket, key) is free at once, live streams have their time. */
export class Shutdown {
  begun = false;
  /** Set once it is started. */
  admin: Admin | undefined;
  readonly #listeners: readonly NamedListener[];
  readonly #live: LiveSessions;
  readonly #key: HeldKey;
  readonly #drainTimeoutMs: () => number;
  readonly #over: () => void;
  readonly #clock: Clock;
  #stopped: Promise<void> | undefined;
  #adminClosed: Promise<void> | undefined;

  constructor(
    listeners: readonly NamedListener[],
    live: LiveSessions,
    key: HeldKey,
    drainTimeoutMs: () => number,
    over: () => void,
    clock: Clock,
  ) {
    this.#listeners = listeners;
    this.#live = live;
    this.#key = key;
    this.#drainTimeoutMs = drainTimeoutMs;
    this.#over = over;
    this.#clock = clock;
  }

  async drain(): Promise<void> {
    this.#begin();
    this.#live.drain(stopping);
    await this.#untilEmpty(this.#drainTimeoutMs());
    await this.stop();
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.#begin();
    this.#live.closeAll(stopping);
    // Each session still says good-bye; it lingers no longer than its own limit.
    await this.#untilEmpty(defaultTunnelLimits.lingerMs * 2);
    await this.#adminClosed;
    // Until now: what is revoked at the successor ends here as well.
    this.#over();
  }

  #begin(): void {
    if (this.begun) return;
    this.begun = true;
    for (const { listener } of this.#listeners) void listener.close();
    // A successor starts beside this one, on the same port and with the same key, which no new session needs here.
    this.#adminClosed = this.admin?.close();
    this.#key.release();
  }

  #untilEmpty(atMostMs: number): Promise<void> {
    return new Promise(resolve => {
      const timer = this.#clock.after(atMostMs, resolve);
      const look = (): void => {
        if (!this.#live.empty) return;
        timer.cancel();
        resolve();
      };
      this.#live.onEnded = look;
      look();
    });
  }
}
