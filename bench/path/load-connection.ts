// What the kinds of load share: a connection to the system, the word with the harness, and percentiles.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';
import type { LoadOrder } from './messages.ts';
import { quantile } from './statistics.ts';

/** Tells the harness where it is, and waits until it has looked. */
export type Pause = (state: 'warm' | 'held') => Promise<void>;

export async function open(order: LoadOrder): Promise<Socket> {
  if (order.tls !== undefined) return openTls(order);
  const socket = connect({ host: '127.0.0.1', port: order.port, noDelay: true });
  await once(socket, 'connect');
  return socket;
}

const contexts = new Map<string, SecureContext>();

/** One context for all connections: making it costs as much as half a handshake. */
function contextOf({ ca, clients }: NonNullable<LoadOrder['tls']>, number: number): SecureContext {
  const client = clients?.[number % clients.length];
  const name = `${ca}${client?.cert}`;
  const known = contexts.get(name);
  if (known !== undefined) return known;
  const context = createSecureContext({
    ca,
    minVersion: 'TLSv1.3',
    ...client,
  });
  contexts.set(name, context);
  return context;
}

/** `number` of the connections that the load makes. */
export async function openTls(order: LoadOrder, alpn?: string, number = 0): Promise<TLSSocket> {
  const { port, tls } = order;
  if (tls === undefined) throw new Error(`${order.kind} needs TLS`);
  const socket = connectTls({
    host: '127.0.0.1',
    port,
    servername: tls.serverName,
    secureContext: contextOf(tls, number),
    ...(alpn === undefined ? {} : { ALPNProtocols: [alpn] }),
  });
  socket.setNoDelay(true);
  await once(socket, 'secureConnect');
  if (alpn !== undefined && socket.alpnProtocol !== alpn) {
    throw new Error(`the system speaks ${socket.alpnProtocol || 'no protocol that it names'}, not ${alpn}`);
  }
  return socket;
}

export function percentiles(times: number[]): { p50Ms: number; p99Ms: number } {
  return { p50Ms: quantile(times, 0.5), p99Ms: quantile(times, 0.99) };
}
