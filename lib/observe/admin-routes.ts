import type { IncomingMessage } from 'node:http';

export interface AdminHealth {
  readonly ready: boolean;
  /** Why it is not ready; safe text. */
  readonly reasons: readonly string[];
}

interface AdminRequest {
  readonly query: URLSearchParams;
  /** The JSON value of the body; undefined for GET. */
  readonly body: unknown;
}

interface AdminResponse {
  readonly status: number;
  readonly body: unknown;
}

export type AdminRoutes = Readonly<Record<string, (request: AdminRequest) => Promise<AdminResponse>>>;

/** An answer: JSON, or a text of another type. */
export interface Answer extends AdminResponse {
  readonly text?: { readonly contentType: string; readonly body: string };
}

const notFound: Answer = { status: 404, body: { error: { code: 'usage', message: 'no such path' } } };

/** What anybody on this machine may ask: is it alive, is it ready, how does it fare. */
export async function answerPublic(
  request: IncomingMessage,
  sources: {
    readonly health: () => AdminHealth;
    readonly metrics: { render(): Promise<string>; readonly contentType: string };
  },
): Promise<Answer> {
  const { path } = target(request);
  if (path !== '/healthz' && path !== '/readyz' && path !== '/metrics') return notFound;
  if (request.method !== 'GET' && request.method !== 'HEAD') return methodNotAllowed('GET');
  if (path === '/healthz') return { status: 200, body: { status: 'ok' } };
  if (path === '/metrics') {
    const { contentType } = sources.metrics;
    return { status: 200, body: null, text: { contentType, body: await sources.metrics.render() } };
  }
  const { ready, reasons } = sources.health();
  return { status: ready ? 200 : 503, body: { status: ready ? 'ready' : 'not ready', reasons } };
}

/** What the command line asks over the unix socket. */
export async function answerRoute(
  request: IncomingMessage,
  routes: AdminRoutes,
  readBody: () => Promise<unknown>,
): Promise<Answer> {
  const { path, query } = target(request);
  const name = `${request.method} ${path}`;
  const route = Object.hasOwn(routes, name) ? routes[name] : undefined;
  if (route === undefined) {
    const other = ['GET', 'POST'].find(method => Object.hasOwn(routes, `${method} ${path}`));
    return other === undefined ? notFound : methodNotAllowed(other);
  }
  const body = request.method === 'POST' ? await readBody() : undefined;
  return route({ query, body });
}

function methodNotAllowed(method: string): Answer {
  return { status: 405, body: { error: { code: 'usage', message: `expected ${method}` } } };
}

/** Nothing is decoded or normalised: a path is one of the known ones, byte for byte, or none. */
function target(request: IncomingMessage): { path: string; query: URLSearchParams } {
  const url = request.url ?? '';
  const mark = url.indexOf('?');
  return mark < 0
    ? { path: url, query: new URLSearchParams() }
    : { path: url.slice(0, mark), query: new URLSearchParams(url.slice(mark + 1)) };
}
