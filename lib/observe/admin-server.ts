import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import { LockwireError, messageOf } from '../core/errors.ts';
import type { Log } from '../core/ports.ts';
import { readAdminBody } from './admin-body.ts';
import {
  type AdminHealth,
  type AdminRoutes,
  type Answer,
  answerPublic,
  answerRoute,
} from './admin-routes.ts';
import { listenOnSocket } from './admin-socket.ts';
import { isAllowedHost } from './host-check.ts';
import {
  adminHeadersTimeoutMs,
  adminIdleTimeoutMs,
  adminRequestTimeoutMs,
  maxAdminConnections,
  maxAdminHeaderBytes,
  maxRequestsPerConnection,
} from './options.ts';

export interface AdminOptions {
  /** Loopback address of `/healthz`, `/readyz` and `/metrics`; anonymous. */
  readonly bind?: { readonly host: string; readonly port: number };
  /** Unix socket of the command line; serves these and the routes. */
  readonly socketPath?: string;
  readonly health: () => AdminHealth;
  readonly metrics: { render(): Promise<string>; readonly contentType: string };
  /** `GET /path` or `POST /path` → what answers it; on the unix socket only. */
  readonly routes: AdminRoutes;
  readonly timeouts?: AdminTimeouts;
}

interface AdminTimeouts {
  readonly headersMs?: number;
  readonly requestMs?: number;
  readonly idleMs?: number;
}

export interface AdminPorts {
  readonly log: Log;
}

export interface Admin {
  /** The address really bound. */
  readonly address?: { readonly host: string; readonly port: number };
  readonly socketPath?: string;
  close(): Promise<void>;
}

/** Starts health, metrics and the admin socket; throws where an address can't be bound or another gateway answers. */
export async function startAdmin(options: AdminOptions, ports: AdminPorts): Promise<Admin> {
  const servers: Server[] = [];
  try {
    const address = options.bind && (await startTcp(options, options.bind, ports, servers));
    if (options.socketPath !== undefined) await startSocket(options, options.socketPath, ports, servers);
    return {
      ...(address && { address }),
      ...(options.socketPath !== undefined && { socketPath: options.socketPath }),
      close: () => closeAll(servers),
    };
  } catch (error) {
    await closeAll(servers);
    throw error;
  }
}

async function startTcp(
  options: AdminOptions,
  bind: { readonly host: string; readonly port: number },
  { log }: AdminPorts,
  servers: Server[],
): Promise<{ host: string; port: number }> {
  if (!isLoopbackAddress(bind.host))
    throw new LockwireError(
      'config',
      `admin address ${bind.host} is not loopback: it would serve in plaintext beyond this machine`,
    );
  // Filled in before the first request: requests come after `listening`.
  let port = bind.port;
  const server = makeServer(options, log, async request => {
    if (!isAllowedHost(request.headersDistinct.host, bind.host, port))
      return {
        status: 421,
        body: { error: { code: 'denied', message: 'Host is not a name of this address' } },
      };
    if (request.headers.origin !== undefined)
      return { status: 403, body: { error: { code: 'denied', message: 'not for web pages' } } };
    return answerPublic(request, options);
  });
  servers.push(server);
  await listen(server, bind);
  const bound = server.address();
  if (typeof bound === 'object' && bound !== null) port = bound.port;
  return { host: bind.host, port };
}

async function startSocket(
  options: AdminOptions,
  socketPath: string,
  { log }: AdminPorts,
  servers: Server[],
): Promise<void> {
  const server = makeServer(options, log, async request => {
    const answer = await answerPublic(request, options);
    if (answer.status !== 404) return answer;
    return answerRoute(request, options.routes, () => readAdminBody(request));
  });
  servers.push(server);
  await listenOnSocket(server, socketPath);
}

function makeServer(
  options: AdminOptions,
  log: Log,
  answer: (request: IncomingMessage) => Promise<Answer>,
): Server {
  const {
    headersMs = adminHeadersTimeoutMs,
    requestMs = adminRequestTimeoutMs,
    idleMs = adminIdleTimeoutMs,
  } = options.timeouts ?? {};
  const server = createServer(
    {
      headersTimeout: headersMs,
      requestTimeout: Math.max(requestMs, headersMs),
      keepAliveTimeout: idleMs,
      connectionsCheckingInterval: Math.min(1000, headersMs / 2),
      maxHeaderSize: maxAdminHeaderBytes,
      requireHostHeader: true,
      insecureHTTPParser: false,
    },
    (request, response) => {
      answer(request)
        .catch((error: unknown) => failure(error, log))
        .then(result => send(request, response, result))
        .catch(() => response.destroy());
    },
  );
  server.maxConnections = maxAdminConnections;
  server.maxRequestsPerSocket = maxRequestsPerConnection;
  // Also ends who doesn't read its answer: nothing moves in either direction.
  server.setTimeout(requestMs * 3, socket => socket.destroy());
  return server;
}

const statusOf: Readonly<Record<string, number>> = {
  usage: 400,
  config: 400,
  protocol: 400,
  unauthenticated: 401,
  denied: 403,
  limit: 413,
  timeout: 504,
  unavailable: 503,
};

function failure(error: unknown, log: Log): Answer {
  const status = error instanceof LockwireError ? statusOf[error.code] : undefined;
  if (error instanceof LockwireError && status !== undefined)
    return { status, body: { error: { code: error.code, message: error.message } } };
  log.error({ error }, 'admin request failed');
  return { status: 500, body: { error: { code: 'io', message: 'internal error' } } };
}

function send(request: IncomingMessage, response: ServerResponse, { status, body, text }: Answer): void {
  const payload = text?.body ?? `${JSON.stringify(body ?? null)}\n`;
  response.writeHead(status, {
    'content-type': text?.contentType ?? 'application/json',
    'content-length': Buffer.byteLength(payload),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    // A body that was not read to its end must not be taken for the next request.
    ...(!request.complete && { connection: 'close' }),
  });
  response.end(request.method === 'HEAD' ? undefined : payload, () => {
    if (!request.complete) request.destroy();
  });
}

function listen(server: Server, bind: { readonly host: string; readonly port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', error =>
      reject(
        new LockwireError(
          'io',
          `cannot bind the admin address ${bind.host}:${bind.port}: ${messageOf(error)}`,
          {
            cause: error,
          },
        ),
      ),
    );
    server.listen({ host: bind.host, port: bind.port }, resolve);
  });
}

async function closeAll(servers: readonly Server[]): Promise<void> {
  await Promise.all(
    servers.map(
      server =>
        new Promise<void>(resolve => {
          server.close(() => resolve());
          server.closeAllConnections();
        }),
    ),
  );
}

function isLoopbackAddress(host: string): boolean {
  return host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
