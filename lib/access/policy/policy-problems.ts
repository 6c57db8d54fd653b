import type { DetailedError } from '@cedar-policy/cedar-wasm/nodejs';
import { nearest } from './nearest.ts';
import type { PolicyFile } from './options.ts';
import { locate } from './split-policies.ts';
import { actions } from './vocabulary.ts';

interface Problem {
  readonly message: string;
  /** Place in the order of the files; what has none comes first. */
  readonly file: PolicyFile | undefined;
  readonly byte: number;
}

/** All that is wrong with some files, told in the order of the files. */
export class PolicyProblems {
  readonly #files: readonly PolicyFile[];
  readonly #problems: Problem[] = [];

  constructor(files: readonly PolicyFile[]) {
    this.#files = files;
  }

  get none(): boolean {
    return this.#problems.length === 0;
  }

  add(message: string, file?: PolicyFile, byte = 0): void {
    this.#problems.push({ message, file, byte });
  }

  /** A line each: `file:line:column: message`. */
  toString(): string {
    const order = ({ file }: Problem): number => (file === undefined ? -1 : this.#files.indexOf(file));
    return this.#problems
      .sort((a, b) => order(a) - order(b) || a.byte - b.byte)
      .map(({ message, file, byte }) =>
        file === undefined ? message : `${locate(file.name, file.text, byte)}: ${message}`,
      )
      .join('\n');
  }
}

/** Cedar's own text, less the ids that mean nothing here, with its hint or a better one. */
export function textOfError({ message, help }: DetailedError): string {
  const text = withoutIds(message).replace(/^failed to parse policy from string: /, '');
  const hint = actionHint(text) ?? withoutIds(help ?? '');
  return hint ? `${text}; ${hint}` : text;
}

function withoutIds(text: string): string {
  return text.replace(/^for policy `[^`]*`, /, '');
}

/** The first byte of a policy's text that an error is about. */
export function byteOfError(error: DetailedError): number {
  return error.sourceLocations?.[0]?.start ?? 0;
}

/** Cedar's own suggestion for `conect` is `call`. */
function actionHint(text: string): string | undefined {
  const [, word] = /^unrecognized action `(?:Lockwire::)?Action::"([^"]*)"`/.exec(text) ?? [];
  const meant = word === undefined ? undefined : nearest(word, actions);
  return meant && `did you mean \`Lockwire::Action::"${meant}"\`?`;
}
