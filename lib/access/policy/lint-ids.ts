import type { PolicyJson } from '@cedar-policy/cedar-wasm/nodejs';
import { nearest } from './nearest.ts';
import type { KnownNames } from './options.ts';

/** An entity id in a policy that no request can ever have. */
export interface IdProblem {
  readonly id: string;
  readonly message: string;
}

/**
 * Ids that could never match. Cedar can't know: to it an id is any text. A permit that never matches is a nuisance; a
 * forbid that never matches is a hole.
 */
export function lintIds(policy: PolicyJson, known: KnownNames | undefined): readonly IdProblem[] {
  const problems: IdProblem[] = [];
  for (const { type, id } of entitiesOf(policy)) {
    const message = problemOf(type.replace(/^Lockwire::/, ''), id, known);
    if (message !== undefined) problems.push({ id, message: `${type}::${JSON.stringify(id)} ${message}` });
  }
  return problems;
}

/** All entities that a policy names, in its head and its conditions. */
function entitiesOf(value: unknown): readonly { type: string; id: string }[] {
  if (Array.isArray(value)) return value.flatMap(entitiesOf);
  if (typeof value !== 'object' || value === null) return [];
  if ('type' in value && 'id' in value && typeof value.type === 'string' && typeof value.id === 'string')
    return [{ type: value.type, id: value.id }];
  return Object.values(value).flatMap(entitiesOf);
}

function problemOf(type: string, id: string, known: KnownNames | undefined): string | undefined {
  switch (type) {
    case 'User':
      return sourceProblem(id, '|', 'issuer|sub', known);
    case 'Workload':
      return sourceProblem(id, '|', 'name|san', known);
    case 'Group':
      return sourceProblem(id, '/', 'issuer/group', known);
    case 'Target':
      return known && unknown(id, known.targets, 'target');
    case 'AgentType':
    case 'TopicType':
    case 'Tool':
    case 'Model':
      return /^[^/]+\/./.test(id)
        ? known && unknown(id.slice(0, id.indexOf('/')), known.targets, 'target')
        : `can never match: its id is 'target/name'`;
    default:
      return undefined;
  }
}

function sourceProblem(
  id: string,
  separator: string,
  form: string,
  known: KnownNames | undefined,
): string | undefined {
  const at = id.search(/[|/]/);
  if (at <= 0 || id[at] !== separator || at === id.length - 1) return `can never match: its id is '${form}'`;
  return known && unknown(id.slice(0, at), known.sources, 'issuer or certificate authority');
}

function unknown(name: string, names: readonly string[], what: string): string | undefined {
  if (names.includes(name)) return undefined;
  const meant = nearest(name, names);
  return `can never match: no ${what} is called '${name}'${meant === undefined ? '' : `, did you mean '${meant}'?`}`;
}
