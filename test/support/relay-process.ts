/**
 * A relay in a process of its own, as a gateway has it: accepts TLS on a loopback port and dials TLS for each
 * connection. Run as a child: first message in `RelaySettings`, first message out the port; each `report` is answered
 * with memory after a collection.
 */
import { createServer, connect as dial } from 'node:net';
import { connect, createSecureContext, type SecureContext, TLSSocket } from 'node:tls';
import { BufferedStream } from '../../lib/core/buffered-stream.ts';
import { systemClock } from '../../lib/core/clock.ts';
import type { CloseReason } from '../../lib/core/session.ts';
import { relay } from '../../lib/relay/tcp.ts';
import { SocketCarrier } from '../../lib/transport/socket-carrier.ts';
import { connectedFacts } from './relay-facts.ts';

export type Address = { readonly path: string } | { readonly port: number; readonly host: '127.0.0.1' };

export interface RelaySettings {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
  /** A unix socket's path, or port 0 on loopback. */
  readonly listen: Address;
  readonly upstream: Address;
  /** Passes bytes on without credit, to show what credit is for. */
  readonly withoutCredit: boolean;
}

export interface RelayReport {
  readonly rss: number;
  readonly heapUsed: number;
  readonly external: number;
  readonly arrayBuffers: number;
  readonly live: number;
  readonly closed: readonly { code: CloseReason['code']; text: string; bytesUp: number; bytesDown: number }[];
  readonly cpuMs: number;
}

const closed: { code: CloseReason['code']; text: string; bytesUp: number; bytesDown: number }[] = [];
let live = 0;

process.on('message', message => {
  if (message === 'report') report();
  else listen(message as RelaySettings);
});
process.on('disconnect', () => process.exit(0));

function report(): void {
  globalThis.gc?.();
  globalThis.gc?.();
  const { rss, heapUsed, external, arrayBuffers } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  const cpuMs = (user + system) / 1000;
  process.send?.({ rss, heapUsed, external, arrayBuffers, live, closed, cpuMs } satisfies RelayReport);
}

function listen(settings: RelaySettings): void {
  const own = createSecureContext({ cert: settings.cert, key: settings.key, minVersion: 'TLSv1.3' });
  const trust = createSecureContext({ ca: settings.ca, minVersion: 'TLSv1.3' });
  const server = createServer({ allowHalfOpen: true }, tcp => {
    const tls = new TLSSocket(tcp, { isServer: true, secureContext: own });
    tls.once('secure', () => join(new SocketCarrier(tls, tcp), settings, trust));
    tls.on('error', () => tcp.destroy());
  });
  server.listen({ ...settings.listen, backlog: 2048 }, () => {
    const address = server.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    process.send?.({ port });
  });
}

function join(client: SocketCarrier, settings: RelaySettings, trust: SecureContext): void {
  const tcp = dial({ ...settings.upstream, allowHalfOpen: true });
  const tls = connect({ socket: tcp, secureContext: trust, servername: 'localhost' });
  const upstream = new SocketCarrier(tls, tcp);
  tls.once('secureConnect', () => {
    if (settings.withoutCredit)
      return joinWithoutCredit(new BufferedStream(client), new BufferedStream(upstream));
    live += 1;
    relay(new BufferedStream(client), new BufferedStream(upstream), connectedFacts, {
      clock: systemClock,
      onClosed: ({ reason, bytesUp, bytesDown }) => {
        live -= 1;
        closed.push({ code: reason.code, text: reason.text, bytesUp, bytesDown });
      },
    });
  });
}

/** What the relay would be without back-pressure: what was delivered is given back at once. */
function joinWithoutCredit(client: BufferedStream, upstream: BufferedStream): void {
  for (const [from, to] of [
    [client, upstream],
    [upstream, client],
  ] as const) {
    from.start({
      data: chunk => {
        from.consume(chunk.byteLength);
        to.write(chunk);
      },
      end: () => to.end(),
      flushed() {},
      closed: reason => to.reset(reason),
    });
  }
}
