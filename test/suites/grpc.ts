// gRPC's standard interop cases: Go and C-core, as client and as server.
import { type Outcome, outcomeOf, runProgram, type Server, startServer } from './program.ts';
import type { Tools } from './tools.ts';

export const interopCases = [
  'empty_unary',
  'large_unary',
  'client_streaming',
  'server_streaming',
  'ping_pong',
  'empty_stream',
  'timeout_on_sleeping_server',
  'cancel_after_begin',
  'cancel_after_first_response',
  'status_code_and_message',
  'special_status_message',
  'unimplemented_method',
  'unimplemented_service',
  'custom_metadata',
] as const;

/** Go's client has no limit of its own on most cases. */
const caseLimitMs = 20_000;
const allCasesLimitMs = 120_000;

export const implementations = ['Go', 'C-core'] as const;
export type Implementation = (typeof implementations)[number];

/** What a client is told: plain text where there is no `tls`. */
export interface InteropTarget {
  /** `HOST:PORT` */
  readonly address: string;
  readonly tls?: {
    readonly ca: string;
    readonly serverName: string;
    /** A file with the token that goes with each call, and the token. */
    readonly tokenFile?: string;
    readonly token?: string;
  };
}

/** `cert` and `key` are files, for the TLS port. */
export function startInteropServer(
  tools: Tools,
  implementation: Implementation,
  files: { readonly cert: string; readonly key: string },
): Promise<Server> {
  const { cert, key } = files;
  if (implementation === 'Go') return startServer(tools.interopServer, ['-cert', cert, '-key', key]);
  const script = new URL('interop_server.py', import.meta.url).pathname;
  return startServer(tools.python, [script, '--cert', cert, '--key', key]);
}

/** An outcome for each of the cases, in their order. */
export async function runInteropClient(
  tools: Tools,
  implementation: Implementation,
  target: InteropTarget,
): Promise<Outcome[]> {
  const outcomes =
    implementation === 'Go' ? await runGoClient(tools, target) : await runCoreClient(tools, target);
  const names = outcomes.map(({ name }) => name).join(' ');
  if (names !== interopCases.join(' '))
    throw new Error(`the client ran '${names}', not the ${interopCases.length} cases`);
  return outcomes;
}

/** A process a case, and with it a connection a case. */
async function runGoClient(tools: Tools, { address, tls }: InteropTarget): Promise<Outcome[]> {
  const [host = '', port = ''] = address.split(':');
  const args = [`-server_host=${host}`, `-server_port=${port}`];
  if (tls) {
    args.push('-use_tls', '-use_test_ca', `-ca_file=${tls.ca}`, `-server_host_override=${tls.serverName}`);
    if (tls.token) args.push(`-additional_metadata=authorization:Bearer ${tls.token}`);
  }
  const outcomes: Outcome[] = [];
  for (const name of interopCases) {
    const { code, text } = await runProgram(
      tools.interopClient,
      [...args, `-test_case=${name}`],
      caseLimitMs,
      { GRPC_GO_LOG_SEVERITY_LEVEL: 'info' },
    );
    // It says so after the case and nowhere else.
    const ok = code === 0 && /\[interop\] \w+ done$/m.test(text);
    outcomes.push({ name, ok, detail: ok ? '' : `exit ${code}: ${text.split('\n').slice(-4).join(' | ')}` });
  }
  return outcomes;
}

/** All cases in one process, on one connection. */
async function runCoreClient(tools: Tools, { address, tls }: InteropTarget): Promise<Outcome[]> {
  const script = new URL('interop_client.py', import.meta.url).pathname;
  const args = [script, address];
  if (tls) args.push('--ca', tls.ca, '--server-name', tls.serverName);
  if (tls?.tokenFile) args.push('--token-file', tls.tokenFile);
  const { code, lines, text } = await runProgram(tools.python, args, allCasesLimitMs);
  if (code !== 0) throw new Error(`the C-core client: exit ${code}\n${text}`);
  return lines.map(outcomeOf);
}
