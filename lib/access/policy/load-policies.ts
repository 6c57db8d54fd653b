import { basename } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { PolicyJson } from '@cedar-policy/cedar-wasm/nodejs';
import { safeText } from '../../core/bytes.ts';
import { LockwireError } from '../../core/errors.ts';
import { askEngine } from './engine.ts';
import { lintIds } from './lint-ids.ts';
import {
  type KnownNames,
  maxPolicies,
  maxPolicyFileBytes,
  maxRuleIdChars,
  type PolicyFile,
  policiesPerTurn,
} from './options.ts';
import { depthProblem } from './policy-depth.ts';
import { byteOfError, PolicyProblems, textOfError } from './policy-problems.ts';
import { policySchema } from './schema.ts';
import { locate, type PolicyText, position, splitPolicies } from './split-policies.ts';

/** One policy, known by its `@id` or its place. */
export interface Rule {
  readonly id: string;
  readonly effect: 'permit' | 'forbid';
  readonly file: string;
  readonly line: number;
  readonly text: string;
  readonly json: PolicyJson;
}

/** All policies that are in force, in the order they were read. */
export interface RuleSet {
  readonly rules: readonly Rule[];
  readonly byId: ReadonlyMap<string, Rule>;
  /** What is odd but not wrong, for the log. */
  readonly warnings: readonly string[];
}

/** Ids that decisions use without any policy: no policy may take them. */
export const defaultDeny = 'default-deny';
export const policyError = 'policy-error';
const reservedIds: readonly string[] = [defaultDeny, policyError];

/** A rule with what is needed to say where in its file something is. */
interface Placed {
  readonly rule: Rule;
  readonly file: PolicyFile;
  readonly startByte: number;
}

/** Reads and validates policies. Throws `config` with all that is wrong: file, line, column, and the near miss. */
export async function loadPolicies(files: readonly PolicyFile[], known?: KnownNames): Promise<RuleSet> {
  const problems = new PolicyProblems(files);
  const placed = files.flatMap(file => readFile(file, problems));
  const byId = index(placed, problems);
  for (const { rule, file, startByte } of placed) {
    for (const { id, message } of lintIds(rule.json, known))
      problems.add(message, file, startByte + byteOfId(rule.text, id));
  }
  const warnings: string[] = [];
  if (placed.length > maxPolicies) problems.add(`${placed.length} policies, at most ${maxPolicies} are read`);
  else await validateAll(placed, problems, warnings);
  if (!problems.none) throw new LockwireError('config', String(problems));
  return { rules: placed.map(({ rule }) => rule), byId, warnings };
}

function readFile(file: PolicyFile, problems: PolicyProblems): readonly Placed[] {
  const bytes = Buffer.byteLength(file.text);
  if (bytes > maxPolicyFileBytes) {
    problems.add(`file of ${bytes} B, at most ${maxPolicyFileBytes} B are read`, file);
    return [];
  }
  return splitPolicies(file.text)
    .map(piece => readPolicy(file, piece, problems))
    .filter(one => one !== undefined);
}

function readPolicy(
  file: PolicyFile,
  { text, startByte }: PolicyText,
  problems: PolicyProblems,
): Placed | undefined {
  const deep = depthProblem(text);
  if (deep !== undefined) {
    problems.add(deep.message, file, startByte + Buffer.byteLength(text.slice(0, deep.index)));
    return undefined;
  }
  const parsed = answerOf(() => askEngine(({ policyToJson }) => policyToJson(text)));
  if (parsed instanceof LockwireError) {
    problems.add(parsed.message, file, startByte);
    return undefined;
  }
  if (parsed.type === 'failure') {
    for (const error of parsed.errors) problems.add(textOfError(error), file, startByte + byteOfError(error));
    return undefined;
  }
  const { json } = parsed;
  const { line } = position(file.text, startByte);
  // The id is told to whoever is refused: the name of the file will do, where it lies is nobody's business.
  const id = json.annotations?.id ?? `${basename(file.name)}:${line}`;
  return { rule: { id, effect: json.effect, file: file.name, line, text, json }, file, startByte };
}

/** What broke Cedar is one problem more, told like the others. */
function answerOf<T>(ask: () => T): T | LockwireError {
  try {
    return ask();
  } catch (error) {
    if (error instanceof LockwireError) return error;
    throw error;
  }
}

function index(placed: readonly Placed[], problems: PolicyProblems): ReadonlyMap<string, Rule> {
  const byId = new Map<string, Rule>();
  for (const { rule, file, startByte } of placed) {
    const message = idProblem(rule, byId.get(rule.id));
    if (message !== undefined) problems.add(message, file, startByte);
    else byId.set(rule.id, rule);
  }
  return byId;
}

function idProblem({ id }: Rule, taken: Rule | undefined): string | undefined {
  if (taken !== undefined)
    return `id '${safeText(id)}' is also that of ${taken.file}:${taken.line}; give one of them another @id`;
  if (reservedIds.includes(id)) return `id '${id}' is reserved`;
  return id === '' || id.length > maxRuleIdChars || safeText(id) !== id
    ? `id of 1 to ${maxRuleIdChars} visible characters wanted`
    : undefined;
}

async function validateAll(
  placed: readonly Placed[],
  problems: PolicyProblems,
  warnings: string[],
): Promise<void> {
  for (let i = 0; i < placed.length; i += policiesPerTurn) {
    if (i > 0) await nextTurn();
    validateSome(placed.slice(i, i + policiesPerTurn), problems, warnings);
  }
}

function validateSome(placed: readonly Placed[], problems: PolicyProblems, warnings: string[]): void {
  // Ids of our own: two policies may still have the same one here, and one must not hide the other.
  const staticPolicies = Object.fromEntries(placed.map(({ rule }, i) => [String(i), rule.text]));
  const answer = answerOf(() =>
    askEngine(({ validate }) => validate({ schema: policySchema, policies: { staticPolicies } })),
  );
  if (answer instanceof LockwireError) {
    const [first] = placed;
    problems.add(answer.message, first?.file, first?.startByte);
    return;
  }
  if (answer.type === 'failure') {
    for (const error of answer.errors) problems.add(textOfError(error));
    return;
  }
  const wrong = new Set(answer.validationErrors.map(({ policyId }) => policyId));
  for (const { policyId, error } of answer.validationErrors) {
    const one = placed[Number(policyId)];
    problems.add(textOfError(error), one?.file, (one?.startByte ?? 0) + byteOfError(error));
  }
  for (const { policyId, error } of answer.validationWarnings) {
    const one = placed[Number(policyId)];
    if (one === undefined || wrong.has(policyId)) continue;
    const { rule, file, startByte } = one;
    const byte = startByte + byteOfError(error);
    // A permit that can never apply permits nothing; a forbid that can never apply is not there when it is needed.
    if (rule.effect === 'forbid') problems.add(textOfError(error), file, byte);
    else warnings.push(`${locate(file.name, file.text, byte)}: ${textOfError(error)}`);
  }
}

/** Where in a policy an entity's id stands; the policy's start where it is written in another way. */
function byteOfId(text: string, id: string): number {
  const at = text.indexOf(JSON.stringify(id));
  return at < 0 ? 0 : Buffer.byteLength(text.slice(0, at));
}
