import { generateKeyPairSync, sign } from 'node:crypto';
import { systemClock } from '../../lib/core/clock.ts';
import type { InstanceKey } from '../../lib/core/ports.ts';
import type { CloseReason } from '../../lib/core/session.ts';
import { TlsDialer } from '../../lib/transport/tls-client.ts';
import { dialTunnel } from '../../lib/tunnel/handshake-dial.ts';
import { defaultTunnelLimits, type TunnelLimits } from '../../lib/tunnel/options.ts';
import type { TunnelSession } from '../../lib/tunnel/session.ts';
import type { SessionPorts } from '../../lib/tunnel/session-ports.ts';
import type { TunnelStream } from '../../lib/tunnel/stream.ts';
import { WindowPool } from '../../lib/tunnel/window-pool.ts';
import type { Role, Welcome } from '../../lib/wire/tunnel/frames.ts';
import { Endpoint } from './relay-endpoint.ts';

export interface RawOptions {
  readonly port: number;
  readonly ca: string;
  readonly role: Role;
  readonly target?: string;
  readonly token: string;
  /** A fresh one where absent. */
  readonly instanceKey?: InstanceKey;
  /** A one-time code. */
  readonly enrollment?: string;
  readonly limits?: Partial<TunnelLimits>;
  readonly onOpen?: (stream: TunnelStream) => void;
}

/** A tunnel client of the test's own: it speaks the protocol and may do what connect and expose never would. */
export interface Raw {
  readonly session: TunnelSession;
  readonly welcome: Welcome;
  readonly notices: CloseReason[];
  readonly closed: Promise<CloseReason>;
  /** Opens a stream and attaches an endpoint to it. */
  open(target: string, options?: { reading?: boolean; keep?: boolean }): Endpoint;
  /** The next line that the gateway has for the person here. */
  notice(): Promise<CloseReason>;
}

export async function dialRaw(options: RawOptions): Promise<Raw> {
  const dialer = new TlsDialer(
    {
      host: '127.0.0.1',
      port: options.port,
      serverName: 'gateway.example',
      ca: [options.ca],
      alpn: ['lockwire/1'],
    },
    { clock: systemClock },
  );
  const connection = await dialer.dial();
  const { promise: closed, resolve } = Promise.withResolvers<CloseReason>();
  const notices: CloseReason[] = [];
  const waiting: ((notice: CloseReason) => void)[] = [];
  const ports: SessionPorts = {
    clock: systemClock,
    // A raw session ends with its connection; tests of resume ask for patience.
    limits: { ...defaultTunnelLimits, patienceMs: 0, ...options.limits },
    pool: new WindowPool(),
    onOpen: stream =>
      options.onOpen ? options.onOpen(stream) : stream.reset({ code: 'denied', text: 'no' }),
    onNotice: notice => {
      notices.push(notice);
      waiting.shift()?.(notice);
    },
    onGoAway() {},
    onRenew: () => Promise.reject(new Error('not of a gateway')),
    onRenewed() {},
    onDetached() {},
    onClosed: resolve,
  };
  const dialled = await dialTunnel(
    connection.carrier,
    {
      role: options.role,
      target: options.target ?? '',
      token: options.token,
      instanceKey: options.instanceKey ?? makeInstanceKey(),
      ...(options.enrollment === undefined ? {} : { enrollment: options.enrollment }),
      exporter: connection.exporter(),
      certificateIssuer: connection.facts.peerIssuer ?? '',
      software: 'test',
    },
    ports,
  );
  if (dialled.resumed) throw new Error('nothing was to be resumed');
  const { session, welcome } = dialled;
  return {
    session,
    welcome,
    notices,
    closed,
    open: (target, endpoint) => new Endpoint(session.open(target, 'loopback'), endpoint),
    notice: () => new Promise(resolve => waiting.push(resolve)),
  };
}

export function makeInstanceKey(): InstanceKey {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const raw = publicKey.export({ format: 'der', type: 'spki' }).subarray(-32);
  return { publicKey: raw, sign: message => sign(null, message, privateKey) };
}
