import { once } from 'node:events';
import { connect, createSecureContext, TLSSocket } from 'node:tls';
import { SocketCarrier } from '../../lib/transport/socket-carrier.ts';
import { makeAuthority } from './transport-certificates.ts';
import { tcpPair } from './transport-sockets.ts';

export interface TlsCarrierPair {
  /** The dialling end. */
  readonly left: SocketCarrier;
  /** The accepting end. */
  readonly right: SocketCarrier;
  close(): void;
}

/** Makes pairs of TLS 1.3 connections over loopback, both ends in this process. */
export async function tlsPairs(): Promise<() => Promise<TlsCarrierPair>> {
  const authority = await makeAuthority({ name: 'relay test' });
  const issued = await authority.issue({ dns: ['localhost'] });
  const server = createSecureContext({ cert: issued.certPem, key: issued.keyPem, minVersion: 'TLSv1.3' });
  const client = createSecureContext({ ca: authority.certPem, minVersion: 'TLSv1.3' });
  return async () => {
    const tcp = await tcpPair();
    // Both take `allowHalfOpen`, which SocketCarrier asks for, from the socket under them.
    const right = new TLSSocket(tcp.far, { isServer: true, secureContext: server });
    const left = connect({ socket: tcp.near, secureContext: client, servername: 'localhost' });
    await Promise.all([once(left, 'secureConnect'), once(right, 'secure')]);
    return {
      left: new SocketCarrier(left, tcp.near),
      right: new SocketCarrier(right, tcp.far),
      close: tcp.close,
    };
  };
}
