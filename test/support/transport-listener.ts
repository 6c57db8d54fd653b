import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type Clock, systemClock } from '../../lib/core/clock.ts';
import { type AcceptedConnection, noMetrics, silentLog } from '../../lib/core/ports.ts';
import { Listener } from '../../lib/transport/listener.ts';
import type { ListenerLimits, ListenerOptions, ListenerTls } from '../../lib/transport/options.ts';
import { TlsDialer } from '../../lib/transport/tls-client.ts';
import { type Authority, type Issued, makeAuthority } from './transport-certificates.ts';
import { CarrierProbe } from './transport-sockets.ts';

interface Logged {
  level: string;
  fields: Record<string, unknown>;
}

/** A listener on a free port with certificates of its own, and what it handed over. */
export interface Harness {
  authority: Authority;
  server: Issued;
  listener: Listener;
  port: number;
  tls: ListenerTls;
  logged: Logged[];
  connections: AcceptedConnection[];
  /** New settings, put in force at once. */
  replace(change: Partial<Pick<ListenerOptions, 'tls' | 'routes'>>): void;
  /** The next connection that is handed over. */
  next(): Promise<AcceptedConnection>;
  dialer(options?: Partial<ConstructorParameters<typeof TlsDialer>[0]>): TlsDialer;
  tcp(): Promise<Socket>;
  close(): void;
}

export async function startListener(
  options: {
    authority?: Authority;
    server?: Issued;
    name?: string;
    tls?: Partial<ListenerTls>;
    routes?: Partial<ListenerOptions['routes']>;
    limits?: Partial<ListenerLimits>;
    clock?: Clock;
    /** Permits each connection at once and echoes. */
    serve?: boolean;
  } = {},
): Promise<Harness> {
  const authority = options.authority ?? (await makeAuthority({ name: 'Test Server CA' }));
  const server =
    options.server ??
    (await authority.issue({
      dns: ['gateway.example', 'legacy.example', '*.wild.example'],
      ips: ['127.0.0.1'],
    }));
  const tls: ListenerTls = {
    cert: server.certPem,
    key: server.keyPem,
    clientCertificates: 'none',
    clientAuthorities: [],
    ...options.tls,
  };
  const logged: Logged[] = [];
  const note = (level: string) => (fields: object) => logged.push({ level, fields: { ...fields } });
  const log = { ...silentLog, warn: note('warn'), error: note('error'), child: () => log };
  const connections: AcceptedConnection[] = [];
  const waiting: ((connection: AcceptedConnection) => void)[] = [];
  const routes = { tunnel: true, http2: false, tcp: [], ...options.routes };
  const listener = new Listener(
    {
      name: options.name ?? 'public',
      bind: { host: '127.0.0.1', port: 0 },
      tls,
      routes,
      ...(options.limits ? { limits: options.limits } : {}),
    },
    {
      clock: options.clock ?? systemClock,
      log,
      metrics: noMetrics,
      onConnection: connection => {
        connections.push(connection);
        if (options.serve) echo(connection);
        waiting.shift()?.(connection);
      },
    },
  );
  const { port } = await listener.listen();
  const sockets: Socket[] = [];
  return {
    authority,
    server,
    listener,
    port,
    tls,
    logged,
    connections,
    replace: change => listener.prepare({ tls, routes, ...change })(),
    next: () => new Promise(resolve => waiting.push(resolve)),
    dialer: (wanted = {}) =>
      new TlsDialer(
        {
          host: '127.0.0.1',
          port,
          serverName: 'gateway.example',
          ca: [authority.certPem],
          alpn: ['lockwire/1'],
          ...wanted,
        },
        { clock: options.clock ?? systemClock },
      ),
    tcp: async () => {
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
      socket.on('error', () => undefined);
      sockets.push(socket);
      await once(socket, 'connect');
      return socket;
    },
    close() {
      void listener.close();
      for (const { carrier } of connections) carrier.destroy();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function echo({ carrier, permitted }: AcceptedConnection): void {
  permitted();
  carrier.start({
    data: chunk => carrier.write([chunk], () => undefined),
    end: () => carrier.end(),
    closed: () => undefined,
  });
}

/** Dials, sends a line, and resolves with what came back; the error of a refusal comes as a rejection. */
export async function exchange(
  dialer: TlsDialer,
  text = 'hello',
): Promise<{ text: string; resumed: boolean }> {
  const { carrier, facts } = await dialer.dial();
  const probe = new CarrierProbe(carrier);
  void probe.write(text);
  const answered = probe.received(Buffer.byteLength(text)).then(() => true);
  const gone = Promise.race([probe.ended, probe.closed]).then(() => false);
  if (!(await Promise.race([answered, gone])) && probe.text() !== text) {
    carrier.destroy();
    throw new Error('closed without an answer');
  }
  carrier.end();
  await probe.closed;
  return { text: probe.text(), resumed: facts.resumed };
}
