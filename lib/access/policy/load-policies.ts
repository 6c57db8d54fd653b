import { setImmediate as nextTurn } from 'node:timers/promises';
import { type DetailedError, type PolicyJson, policyToJson, validate } from '@cedar-policy/cedar-wasm/nodejs';
import { safeText } from '../../core/bytes.ts';
import { LockwireError } from '../../core/errors.ts';
import { lintIds } from './lint-ids.ts';
import {
  type KnownNames,
  maxPolicies,
  maxPolicyFileBytes,
  maxRuleIdChars,
  type PolicyFile,
  policiesPerTurn,
} from './options.ts';
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
  const problems: string[] = [];
  const warnings: string[] = [];
  const placed = files.flatMap(file => readFile(file, problems));
  if (placed.length > maxPolicies)
    problems.push(`${placed.length} policies, at most ${maxPolicies} are read`);
  const byId = index(placed, problems);
  for (const one of placed) {
    for (const { id, message } of lintIds(one.rule.json, known))
      problems.push(`${placeOf(one, byteOf(one.rule.text, id))}: ${message}`);
  }
  if (placed.length <= maxPolicies) await validateAll(placed, problems, warnings);
  if (problems.length > 0) throw new LockwireError('config', problems.join('\n'));
  return { rules: placed.map(({ rule }) => rule), byId, warnings };
}

function readFile(file: PolicyFile, problems: string[]): readonly Placed[] {
  const bytes = Buffer.byteLength(file.text);
  if (bytes > maxPolicyFileBytes) {
    problems.push(`${file.name}: ${bytes} B, at most ${maxPolicyFileBytes} B are read`);
    return [];
  }
  return splitPolicies(file.text)
    .map(piece => readPolicy(file, piece, problems))
    .filter(one => one !== undefined);
}

function readPolicy(file: PolicyFile, piece: PolicyText, problems: string[]): Placed | undefined {
  const parsed = policyToJson(piece.text);
  if (parsed.type === 'failure') {
    for (const error of parsed.errors)
      problems.push(`${locate(file.name, file.text, piece.startByte + offsetOf(error))}: ${textOf(error)}`);
    return undefined;
  }
  const { json } = parsed;
  const { line } = position(file.text, piece.startByte);
  const id = json.annotations?.id ?? `${file.name}:${line}`;
  const rule: Rule = { id, effect: json.effect, file: file.name, line, text: piece.text, json };
  return { rule, file, startByte: piece.startByte };
}

function index(placed: readonly Placed[], problems: string[]): ReadonlyMap<string, Rule> {
  const byId = new Map<string, Rule>();
  for (const one of placed) {
    const { rule } = one;
    const taken = byId.get(rule.id);
    if (taken !== undefined)
      problems.push(`${placeOf(one)}: id '${rule.id}' is also that of ${taken.file}:${taken.line}`);
    else if (reservedIds.includes(rule.id)) problems.push(`${placeOf(one)}: id '${rule.id}' is reserved`);
    else if (rule.id === '' || rule.id.length > maxRuleIdChars || safeText(rule.id) !== rule.id)
      problems.push(`${placeOf(one)}: id of 1 to ${maxRuleIdChars} visible characters wanted`);
    byId.set(rule.id, rule);
  }
  return byId;
}

async function validateAll(placed: readonly Placed[], problems: string[], warnings: string[]): Promise<void> {
  for (let i = 0; i < placed.length; i += policiesPerTurn) {
    if (i > 0) await nextTurn();
    validateSome(placed.slice(i, i + policiesPerTurn), problems, warnings);
  }
}

function validateSome(placed: readonly Placed[], problems: string[], warnings: string[]): void {
  // Ids of our own: two policies may still have the same one here, and one must not hide the other.
  const staticPolicies = Object.fromEntries(placed.map(({ rule }, i) => [String(i), rule.text]));
  const answer = validate({ schema: policySchema, policies: { staticPolicies } });
  if (answer.type === 'failure') {
    problems.push(...answer.errors.map(textOf));
    return;
  }
  for (const { policyId, error } of answer.validationErrors) {
    const one = placed[Number(policyId)];
    problems.push(one === undefined ? textOf(error) : `${placeOf(one, offsetOf(error))}: ${textOf(error)}`);
  }
  for (const { policyId, error } of answer.validationWarnings) {
    const one = placed[Number(policyId)];
    if (one === undefined) continue;
    const message = `${placeOf(one, offsetOf(error))}: ${textOf(error)}`;
    // A permit that can never apply permits nothing; a forbid that can never apply is not there when it is needed.
    if (one.rule.effect === 'forbid') problems.push(message);
    else warnings.push(message);
  }
}

function placeOf({ file, startByte }: Placed, byte = 0): string {
  return locate(file.name, file.text, startByte + byte);
}

function offsetOf(error: DetailedError): number {
  return error.sourceLocations?.[0]?.start ?? 0;
}

/** Cedar's own text, less the ids that mean nothing here, with its hint. */
function textOf({ message, help }: DetailedError): string {
  const text = message
    .replace(/^for policy `[^`]*`, /, '')
    .replace(/^failed to parse policy from string: /, '');
  return help ? `${text}; ${help}` : text;
}

/** Where in a policy an entity's id stands; the policy's start where it is written in another way. */
function byteOf(text: string, id: string): number {
  const at = text.indexOf(JSON.stringify(id));
  return at < 0 ? 0 : Buffer.byteLength(text.slice(0, at));
}
