import type { KnownHost } from './config/client.ts';
import { BufferedStream } from './core/buffered-stream.ts';
import { safeText } from './core/bytes.ts';
import type { Clock } from './core/clock.ts';
import { messageOf } from './core/errors.ts';
import type { ByteStream, Carrier, Log } from './core/ports.ts';
import { ConnectGate } from './relay/connect-gate.ts';
import type { TunnelSession } from './tunnel/session.ts';

export interface ConnectProxyPorts {
  readonly clock: Clock;
  readonly log: Log;
  /** What leads to the target. */
  readonly hosts: readonly KnownHost[];
  session(): Promise<TunnelSession>;
  /** Opens a stream of this session to the target and joins the client to it. Throws where that cannot be had. */
  join(local: ByteStream, session: TunnelSession, opened: () => void): void;
}

/**
 * `connect --proxy`: reads CONNECT requests and leads those that name the target to it. Nothing is ever dialled from
 * here, whatever is asked for.
 */
export class ConnectProxyDoor {
  readonly #ports: ConnectProxyPorts;

  constructor(ports: ConnectProxyPorts) {
    this.#ports = ports;
  }

  async enter(carrier: Carrier): Promise<void> {
    const gate = new ConnectGate(new BufferedStream(carrier), this.#ports.clock);
    const asked = await gate.asked;
    if (asked.kind === 'left') {
      gate.stream.reset({ code: 'cancelled', text: 'it ended before it asked' });
    } else if (asked.kind === 'refused') {
      this.#refuse(gate, asked.status, asked.text);
    } else if (this.#knows(asked.host, asked.port)) {
      await this.#lead(gate);
    } else {
      const known = this.#ports.hosts.map(({ host, port }) => `${host}:${port ?? 'PORT'}`).join(', ');
      const what = safeText(`${asked.host}:${asked.port}`, 300);
      this.#refuse(gate, '403 Forbidden', `${what} is not reached through this proxy; it leads to ${known}`);
    }
  }

  #knows(host: string, port: number): boolean {
    return this.#ports.hosts.some(known => known.host === host && (known.port ?? port) === port);
  }

  async #lead(gate: ConnectGate): Promise<void> {
    try {
      const session = await this.#ports.session();
      this.#ports.join(gate.stream, session, () => gate.establish());
    } catch (error) {
      this.#refuse(gate, '503 Service Unavailable', messageOf(error));
    }
  }

  #refuse(gate: ConnectGate, status: string, text: string): void {
    this.#ports.log.warn({ status, detail: text }, 'proxy request refused');
    gate.refuse(status, text, { code: 'cancelled', text });
  }
}
