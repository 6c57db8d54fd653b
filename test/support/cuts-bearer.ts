import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { systemClock } from '../../lib/core/clock.ts';
import type { InstanceKey } from '../../lib/core/ports.ts';
import type { CloseReason } from '../../lib/core/session.ts';
import { exporterOf } from '../../lib/transport/exporter.ts';
import { SocketCarrier } from '../../lib/transport/socket-carrier.ts';
import { dialTunnel, type Resumption } from '../../lib/tunnel/handshake-dial.ts';
import { defaultTunnelLimits } from '../../lib/tunnel/options.ts';
import type { TunnelSession } from '../../lib/tunnel/session.ts';
import { WindowPool } from '../../lib/tunnel/window-pool.ts';
import { makeInstanceKey } from './e2e-tunnel.ts';

/** What a Resume claims. An honest one is made by `Bearer.claim`. */
export interface Claim {
  readonly session: string;
  readonly secret: Uint8Array;
  readonly attempt: number;
  readonly received: number;
}

export interface BearerOptions {
  readonly port: number;
  readonly ca: string;
  readonly token: string;
  readonly key?: InstanceKey;
  /** Where it comes from: another address of loopback is another source. */
  readonly from?: string;
}

/** A client that may resume its session, or claim another's. */
export class Bearer {
  readonly options: BearerOptions;
  readonly key: InstanceKey;
  secret: Uint8Array = new Uint8Array();
  attempt = 0;
  session!: TunnelSession;
  #carrier: SocketCarrier | undefined;
  readonly closed: Promise<CloseReason>;
  readonly #close: (reason: CloseReason) => void;

  constructor(options: BearerOptions) {
    this.options = options;
    this.key = options.key ?? makeInstanceKey();
    const { promise, resolve } = Promise.withResolvers<CloseReason>();
    this.closed = promise;
    this.#close = resolve;
  }

  /** A fresh session. */
  async enter(): Promise<void> {
    if ((await this.#dial()) !== 'fresh') throw new Error('nothing was to be resumed');
  }

  /** Goes on with its own session, after a cut. */
  async resume(): Promise<'fresh' | 'resumed'> {
    this.attempt += 1;
    return await this.#dial({ session: this.session, secret: this.secret, attempt: this.attempt });
  }

  /** Claims any session at all. Rejects with TunnelRefused where it is refused. */
  async claim({ session, secret, attempt, received }: Claim): Promise<'fresh' | 'resumed'> {
    const pretended = {
      facts: { id: session },
      offsets: { received },
      resumable: true,
      resume: () => true,
    } as unknown as TunnelSession;
    return await this.#dial({ session: pretended, secret, attempt });
  }

  /** What it would claim with its next try. */
  get honest(): Claim {
    const { session, secret, attempt } = this;
    return { session: session.facts.id, secret, attempt: attempt + 1, received: session.offsets.received };
  }

  cut(): void {
    this.#carrier?.destroy(true);
  }

  async #dial(resume?: Resumption): Promise<'fresh' | 'resumed'> {
    const { port, ca, token, from } = this.options;
    const raw = connectTcp({
      port,
      host: '127.0.0.1',
      localAddress: from ?? '127.0.0.1',
      allowHalfOpen: true,
    });
    raw.on('error', () => undefined);
    const tls = connectTls({ socket: raw, servername: 'gateway.example', ca, ALPNProtocols: ['lockwire/1'] });
    await once(tls, 'secureConnect');
    this.#carrier = new SocketCarrier(tls, raw);
    const dialled = await dialTunnel(
      this.#carrier,
      {
        role: 'connect',
        target: '',
        token,
        instanceKey: this.key,
        exporter: exporterOf(tls),
        certificateIssuer: '',
        software: 'test',
        ...(resume ? { resume } : {}),
      },
      {
        clock: systemClock,
        limits: defaultTunnelLimits,
        pool: new WindowPool(),
        onOpen: stream => stream.reset({ code: 'denied', text: 'no' }),
        onNotice() {},
        onGoAway() {},
        onRenew: () => Promise.reject(new Error('not of a gateway')),
        onRenewed() {},
        onDetached() {},
        onClosed: this.#close,
      },
    );
    if (dialled.resumed) return 'resumed';
    this.session = dialled.session;
    this.secret = dialled.welcome.sessionSecret;
    this.attempt = 0;
    return 'fresh';
  }
}
