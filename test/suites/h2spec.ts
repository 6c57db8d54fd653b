// h2spec, strict: 146 cases.
import { once } from 'node:events';
import {
  createSecureServer,
  createServer,
  type Http2Server,
  type Http2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { type Outcome, outcomeOf, runProgram, type Server } from './program.ts';

export const h2specCases = 146;

const limitMs = 120_000;

export interface H2specTarget {
  readonly host: string;
  readonly port: number;
  /** Over TLS; with a client certificate where `cert` and `key` name its files. */
  readonly tls?: { readonly cert?: string; readonly key?: string };
  /** How long a case waits for an event; h2spec's own 2,000 where absent. */
  readonly patienceMs?: number;
}

/** `only` names sections such as `http2/5.1/3`; with any, the frames are printed. */
export async function runH2spec(
  program: string,
  { host, port, tls, patienceMs = 2_000 }: H2specTarget,
  only: readonly string[] = [],
): Promise<Outcome[]> {
  const args = ['-host', host, '-port', String(port), '-timeout', `${patienceMs}ms`];
  if (tls) args.push('-tls');
  if (tls?.cert && tls.key) args.push('-cert', tls.cert, '-key', tls.key);
  if (only.length > 0) args.push('-verbose', ...only);
  const { code, lines, text } = await runProgram(program, args, limitMs);
  if (code !== 0) throw new Error(`h2spec: exit ${code}\n${text.slice(-2_000)}`);
  if (only.length > 0) process.stdout.write(`${text}\n`);
  return lines.map(outcomeOf);
}

/**
 * What stands behind Lockwire while h2spec looks at it: `node:http2`, answering each request with 1,024 bytes once it
 * has come whole. Several cases need a body, and are skipped without one.
 */
export async function startH2specBackend(cert: string, key: string): Promise<Server> {
  const body = Buffer.alloc(1024, 'x');
  const sessions = new Set<Http2Session>();
  const start = async (server: Http2Server): Promise<string> => {
    server.on('session', session => {
      sessions.add(session);
      session.on('error', () => {});
      session.on('close', () => sessions.delete(session));
    });
    server.on('stream', (stream: ServerHttp2Stream) => {
      stream.on('error', () => {});
      stream.resume();
      stream.on('end', () => {
        if (stream.destroyed || stream.headersSent) return;
        stream.respond({ ':status': 200, 'content-type': 'text/plain' });
        stream.end(body);
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return `127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
  const servers = [createServer(), createSecureServer({ cert, key })];
  const [plain = '', tls = ''] = await Promise.all(servers.map(server => start(server)));
  return {
    plain,
    tls,
    close: async () => {
      for (const session of sessions) session.destroy();
      await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))));
    },
  };
}
