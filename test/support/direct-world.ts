/** A gateway with HTTP/2 targets, dialled and exposed, and clients that come to its port without a tunnel. */
import { once } from 'node:events';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  createSecureServer,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { type Gateway, type GatewaySettings, World } from './e2e-world.ts';
import { grpcHeaders } from './http2-calls.ts';
import type { Issued } from './transport-certificates.ts';

interface Teardown {
  teardown(clean: () => unknown): void;
}

/** `agents` may connect and call, but for `Forbidden`; `hosts` may expose. */
export const directPolicy = `
@id("agents")
permit (principal in Lockwire::Group::"corp/agents", action in [Lockwire::Action::"connect", Lockwire::Action::"call"], resource);
@id("workers")
permit (principal == Lockwire::Workload::"workloads|spiffe://example/worker", action in [Lockwire::Action::"connect", Lockwire::Action::"call"], resource);
@id("hosts")
permit (principal in Lockwire::Group::"corp/hosts", action == Lockwire::Action::"expose", resource);
@id("no-forbidden")
forbid (principal, action == Lockwire::Action::"call", resource) when { context.path like "*Forbidden*" };
@id("no-roots")
forbid (principal, action == Lockwire::Action::"call", resource) when { context.path like "*Roots*" } unless { principal in Lockwire::Group::"corp/roots" };
`;

/** What came to a server behind the gateway. */
export interface Seen {
  readonly headers: IncomingHttpHeaders;
  readonly connection: number;
}

/**
 * A gRPC service over HTTP/2 that says who it is in `x-server`, sends each byte back, and tells all of a request's
 * headers in the header, the body and the trailer of `/echo.Echo/Headers`, and in the error of `/echo.Echo/Fails`.
 */
export class EchoServer {
  readonly seen: Seen[] = [];
  readonly port: number;
  connections = 0;

  private constructor(server: Http2Server, name: string) {
    this.port = (server.address() as AddressInfo).port;
    const numbers = new WeakMap<object, number>();
    server.on('session', session => {
      this.connections += 1;
      numbers.set(session, this.connections);
      session.on('error', () => {});
    });
    server.on('stream', (stream, headers) => {
      this.seen.push({ headers, connection: numbers.get(stream.session as object) ?? 0 });
      stream.on('error', () => {});
      answer(stream as ServerHttp2Stream, headers, name);
    });
  }

  static async start(t: Teardown, name: string, leaf?: Issued): Promise<EchoServer> {
    const server = leaf
      ? createSecureServer({ cert: leaf.certPem, key: leaf.keyPem, allowHTTP1: false })
      : createServer();
    server.on('sessionError', () => {});
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const echo = new EchoServer(server as Http2Server, name);
    t.teardown(() => server.close());
    return echo;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  get lastHeaders(): IncomingHttpHeaders {
    return this.seen.at(-1)?.headers ?? {};
  }
}

function answer(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, name: string): void {
  const path = headers[':path'] ?? '';
  const told = JSON.stringify(headers);
  const trailers = (more: OutgoingHttpHeaders): void => {
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', ...more }));
  };
  const begin = (more: OutgoingHttpHeaders = {}): void =>
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc', 'x-server': name, ...more },
      { waitForTrailers: true },
    );
  if (path.endsWith('/Headers')) {
    trailers({ 'x-told': encodeURIComponent(told) });
    begin({ 'x-told': encodeURIComponent(told) });
    stream.end(told);
  } else if (path.endsWith('/Fails')) {
    trailers({ 'grpc-status': '13', 'grpc-message': encodeURIComponent(told) });
    begin();
    stream.end();
  } else {
    trailers({});
    begin();
    stream.pipe(stream);
  }
}

/** How a call ended, by its trailers or by trailers only. */
export interface CallEnd {
  readonly status: string;
  readonly message: string;
  readonly decision: string | undefined;
  readonly atMs: number;
}

/** A call that stays open, both ways. */
export class LiveCall {
  readonly ended: Promise<CallEnd>;
  readonly stream: ClientHttp2Stream;
  server = '';
  #text = '';
  #wake: () => void = () => {};

  constructor(session: ClientHttp2Session, token: string | undefined, headers: OutgoingHttpHeaders) {
    this.stream = session.request({
      ...grpcHeaders,
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...headers,
    });
    let trailers: IncomingHttpHeaders = {};
    const take = (got: IncomingHttpHeaders): void => {
      trailers = { ...trailers, ...got };
      this.server = String(got['x-server'] ?? this.server);
    };
    this.stream.on('response', take);
    this.stream.on('trailers', take);
    this.stream.on('error', () => {});
    this.stream.setEncoding('utf8');
    this.stream.on('data', (text: string) => {
      this.#text += text;
      this.#wake();
    });
    this.ended = new Promise(resolve => {
      this.stream.on('close', () => {
        const decision = trailers['x-lockwire-decision'];
        resolve({
          status: String(trailers['grpc-status'] ?? `none, reset ${this.stream.rstCode}`),
          message: decodeURIComponent(String(trailers['grpc-message'] ?? '')),
          decision: decision === undefined ? undefined : String(decision),
          atMs: Date.now(),
        });
        this.#wake();
      });
    });
  }

  /** Sends a text and waits until it is back; false where the call ended before. */
  async echoes(text: string): Promise<boolean> {
    const want = this.#text.length + text.length;
    this.stream.write(text);
    while (this.#text.length < want && !this.stream.closed)
      await new Promise<void>(resolve => {
        this.#wake = resolve;
      });
    return this.#text.length >= want && this.#text.endsWith(text);
  }
}

export class DirectWorld {
  readonly world: World;
  readonly gateway: Gateway;
  /** By TLS, its connections shared by all clients, `:authority` dialled.example. */
  readonly dialled: EchoServer;
  /** By TLS, a connection a client, `:authority` own.example. */
  readonly own: EchoServer;
  /** By an expose, a connection a client, gRPC service echo.Echo. */
  readonly exposed: EchoServer;
  readonly #settings: GatewaySettings;
  readonly #sessions: ClientHttp2Session[] = [];

  private constructor(
    world: World,
    gateway: Gateway,
    settings: GatewaySettings,
    servers: readonly [EchoServer, EchoServer, EchoServer],
  ) {
    this.world = world;
    this.gateway = gateway;
    this.#settings = settings;
    [this.dialled, this.own, this.exposed] = servers;
  }

  static async make(t: Teardown, settings: GatewaySettings = {}): Promise<DirectWorld> {
    const world = await World.make(t);
    const leaf = await world.authority.issue({ dns: ['upstream.example'] });
    const dialled = await EchoServer.start(t, 'dialled', leaf);
    const own = await EchoServer.start(t, 'own', leaf);
    const exposed = await EchoServer.start(t, 'exposed');
    const dial = ({ port }: EchoServer) => ({
      dial: `tls://127.0.0.1:${port}`,
      serverName: 'upstream.example',
      ca: 'ca.pem',
    });
    const all: GatewaySettings = {
      policy: directPolicy,
      tls: { clientCertificates: 'optional' },
      certificates: [{ name: 'workloads', ca: 'ca.pem' }],
      admin: { bind: '127.0.0.1:0' },
      ...settings,
      targets: [
        {
          name: 'dialled',
          protocol: 'grpc',
          hosts: ['dialled.example'],
          upstream: 'shared',
          ...dial(dialled),
        },
        { name: 'own', protocol: 'http2', hosts: ['own.example'], upstream: 'own', ...dial(own) },
        { name: 'exposed', protocol: 'grpc', services: ['echo.Echo'], via: 'tunnel', upstream: 'own' },
      ],
    };
    const direct = new DirectWorld(world, await world.gateway(all), all, [dialled, own, exposed]);
    t.teardown(() => direct.#close());
    return direct;
  }

  /** Another gateway with the same config, on the same port. */
  successor(): Promise<Gateway> {
    return this.world.gateway({ ...this.#settings, bind: `127.0.0.1:${this.gateway.port}` });
  }

  /** Starts the expose of `exposed`. */
  async expose(): Promise<void> {
    await this.world.expose(this.gateway, { target: 'exposed', to: this.exposed.address });
  }

  agent(sub: string, expires?: number): Promise<string> {
    return this.world.token({ sub, groups: ['agents'], ...(expires === undefined ? {} : { expires }) });
  }

  worker(name = 'worker'): Promise<Issued> {
    return this.world.authority.issue({ uris: [`spiffe://example/${name}`], usages: ['client'] });
  }

  /** A connection of node:http2's client. */
  async client(certificate?: Issued): Promise<ClientHttp2Session> {
    const session = connect(`https://127.0.0.1:${this.gateway.port}`, {
      servername: 'gateway.example',
      ca: this.world.authority.certPem,
      ...(certificate ? { cert: certificate.certPem, key: certificate.keyPem } : {}),
    });
    session.on('error', () => {});
    this.#sessions.push(session);
    await once(session, 'connect');
    return session;
  }

  /** A call that stays open, and has echoed one word. */
  async live(
    session: ClientHttp2Session,
    token: string | undefined,
    authority = 'dialled.example',
  ): Promise<LiveCall> {
    const call = callOf(session, token, authority);
    if (!(await call.echoes('first'))) throw new Error(`it ended: ${JSON.stringify(await call.ended)}`);
    return call;
  }

  #close(): void {
    for (const session of this.#sessions) session.destroy();
  }
}

/** A call that may be refused. */
export function callOf(
  session: ClientHttp2Session,
  token: string | undefined,
  authority: string,
  path = '/echo.Echo/Stream',
): LiveCall {
  return new LiveCall(session, token, { ':authority': authority, ':path': path });
}
