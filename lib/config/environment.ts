import { url as inspectorUrl } from 'node:inspector';
import { LockwireError } from '../core/errors.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** This process's environment. Only config reads it; others are handed what they need. */
export function processEnvironment(): Environment {
  return process.env;
}

/** Options of Node that let somebody else read the keys or change the program. */
const dangerousOptions: readonly { readonly option: RegExp; readonly why: string }[] = [
  { option: /^--tls-keylog(=|$)/, why: 'writes the keys of all TLS connections to a file' },
  { option: /^--inspect(-brk|-wait|-port|-publish-uid)?(=|$)/, why: 'lets a debugger read all memory' },
  { option: /^--debug-port(=|$)/, why: 'lets a debugger read all memory' },
  { option: /^--insecure-http-parser(=|$)/, why: 'accepts HTTP that proxies read differently' },
  { option: /^--tls-min-v1\.[01]$/, why: 'allows TLS versions that are broken' },
];

/**
 * Refuses to start where the environment would undo the encryption. Throws `usage` naming all of it, with what to do.
 */
export function assertSafeEnvironment(
  env: Environment,
  execArgv: readonly string[],
  inspector: string | undefined = inspectorUrl(),
): void {
  const found = [...dangerousVariables(env)];
  for (const argument of execArgv) found.push(...dangerousOption(argument, 'the command line of node'));
  for (const argument of (env.NODE_OPTIONS ?? '').split(/[\s"']+/))
    found.push(...dangerousOption(argument, 'NODE_OPTIONS'));
  if (inspector !== undefined) found.push('the inspector is open: it lets a debugger read all memory');
  if (found.length > 0)
    throw new LockwireError('usage', `refusing to start:\n${found.map(line => `  ${line}`).join('\n')}`);
}

function* dangerousVariables(env: Environment): Generator<string> {
  // Node switches verification off for exactly "0".
  if (env.NODE_TLS_REJECT_UNAUTHORIZED === '0')
    yield 'NODE_TLS_REJECT_UNAUTHORIZED=0 switches certificate checks off: unset it, give a private CA by its file';
  if (env.SSLKEYLOGFILE) yield 'SSLKEYLOGFILE asks for the keys of all TLS connections: unset it';
}

function dangerousOption(argument: string, where: string): string[] {
  // Node takes underscores for dashes in its options.
  const name = argument.split('=', 1)[0]?.replaceAll('_', '-') ?? '';
  const match = dangerousOptions.find(({ option }) => option.test(name));
  return match === undefined ? [] : [`${name} in ${where} ${match.why}: remove it`];
}
