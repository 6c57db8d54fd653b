import { parseArgs } from 'node:util';
import { nearMiss } from '../config/near-miss.ts';
import { safeText } from '../core/bytes.ts';
import { LockwireError } from '../core/errors.ts';

/** What a command may touch of the process. */
export interface CommandIo {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whether standard error is read by a person. */
  readonly terminal: boolean;
  /** A line on standard output: what was asked for. */
  out(line: string): void;
  /** A line on standard error: progress and complaints. */
  err(line: string): void;
  /** How the user starts this program: `lockwire`, or `npm run lockwire --` in a checkout. */
  readonly self: string;
}

/** One option of a command; all take a value but the switches. */
export interface Option {
  /** Placeholder of the value; absent for a switch. */
  readonly value?: string;
  /** May stand several times, each with a value of its own. */
  readonly repeated?: boolean;
  readonly help: string;
}

export interface Command {
  readonly name: string;
  readonly summary: string;
  /** What follows `lockwire NAME` in the usage line. */
  readonly usage: string;
  readonly options: Readonly<Record<string, Option>>;
  /** The fewest and the most arguments that are no options. */
  readonly positionals: readonly [number, number];
  /** Gives the exit code. */
  run(args: Arguments, io: CommandIo): Promise<number>;
}

type Values = Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>;

export class Arguments {
  readonly positionals: readonly string[];
  readonly #values: Values;

  constructor(values: Values, positionals: readonly string[]) {
    this.#values = values;
    this.positionals = positionals;
  }

  value(name: string): string | undefined {
    const value = this.#values[name];
    return typeof value === 'string' ? value : undefined;
  }

  /** Of an option that may be repeated; undefined where it was not given. */
  values(name: string): readonly string[] | undefined {
    const values = this.#values[name];
    return Array.isArray(values) ? values.filter(value => typeof value === 'string') : undefined;
  }

  has(name: string): boolean {
    return this.#values[name] === true;
  }
}

/** Reads a command's arguments. Throws `usage` that names what is wrong and the near miss. */
export function readArguments(command: Command, argv: readonly string[]): Arguments {
  const options = Object.fromEntries(
    Object.entries({ ...command.options, help: { help: '' } }).map(([name, option]: [string, Option]) => [
      name,
      {
        type: option.value === undefined ? ('boolean' as const) : ('string' as const),
        multiple: option.repeated === true,
      },
    ]),
  );
  for (const argument of argv) {
    if (argument === '--') break;
    const name = /^--([^=]+)/.exec(argument)?.[1];
    if (name !== undefined && !Object.hasOwn(options, name)) throw unknownOption(command, name);
  }
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      options,
      allowPositionals: true,
      strict: true,
    });
    checkPositionals(command, positionals);
    return new Arguments(values, positionals);
  } catch (error) {
    if (error instanceof LockwireError) throw error;
    const text = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    throw new LockwireError('usage', `${text}\n${usageLine(command)}`);
  }
}

function usageLine(command: Command): string {
  return `usage: lockwire ${command.name} ${command.usage}`.trimEnd();
}

export function helpOf(command: Command): string[] {
  const rows = Object.entries(command.options).map(([name, option]) => {
    const left = `  --${name}${option.value === undefined ? '' : ` ${option.value}`}`;
    return `${left.padEnd(26)} ${option.help}`;
  });
  return [command.summary, '', usageLine(command), ...(rows.length > 0 ? ['', ...rows] : [])];
}

function unknownOption(command: Command, name: string): LockwireError {
  const near = nearMiss(name, Object.keys(command.options));
  const hint = near === undefined ? '' : `; did you mean --${near}?`;
  return new LockwireError('usage', `unknown option --${safeText(name, 64)}${hint}\n${usageLine(command)}`);
}

function checkPositionals(command: Command, positionals: readonly string[]): void {
  const [least, most] = command.positionals;
  if (positionals.length >= least && positionals.length <= most) return;
  const extra = positionals[most];
  const what =
    extra === undefined ? 'an argument is missing' : `unexpected argument "${safeText(extra, 64)}"`;
  throw new LockwireError('usage', `${what}\n${usageLine(command)}`);
}
