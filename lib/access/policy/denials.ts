import { randomBytes } from 'node:crypto';
import { safeText } from '../../core/bytes.ts';
import { principalName } from '../../core/session.ts';
import { Lru } from '../lru.ts';
import type { Verdict } from './evaluate.ts';
import { defaultDeny, policyError, type RuleSet } from './load-policies.ts';
import { nearMisses } from './near-misses.ts';
import { maxDenials, maxDenialsPerPrincipal, maxExplainedChars, maxExplainedGroups } from './options.ts';
import { entityLabel, groupIds, type PolicyRequest } from './vocabulary.ts';

/** Why something was denied: plain data for `lockwire explain`, every text of a peer's escaped and cut short. */
export interface Explanation {
  readonly id: string;
  readonly firstAtMs: number;
  readonly lastAtMs: number;
  /** How often the very same request was denied. */
  readonly count: number;
  /** `User::corp|alice`. */
  readonly principal: string;
  /** `corp/devs`; the first 32. */
  readonly groups: readonly string[];
  readonly groupCount: number;
  readonly email?: string;
  readonly action: string;
  /** `Target autogen`. */
  readonly resource: string;
  readonly context: Readonly<Record<string, string>>;
  /** The id that the peer was told. */
  readonly rule: string;
  /** All policies that forbade it, with their places. */
  readonly forbidBy: readonly string[];
  readonly errors: readonly string[];
  readonly nearMisses: readonly string[];
  /** Of the policies that decided. */
  readonly generation: number;
  /** All of it as a few lines for a person. */
  readonly text: string;
}

/** A denial that is remembered; the facts never change, only how often and when. */
export interface Denial {
  readonly facts: Omit<Explanation, 'lastAtMs' | 'count' | 'text'>;
  lastAtMs: number;
  count: number;
}

/** The last denials. Which of them are forgotten first: those that were longest not repeated. */
export class Denials {
  readonly #byId = new Lru<Denial>(maxDenials);
  /** The same denials again, by principal; each of them is in both or in neither. */
  readonly #byPrincipal = new Map<string, Lru<Denial>>();

  get size(): number {
    return this.#byId.size;
  }

  record(
    request: PolicyRequest,
    verdict: Verdict,
    rules: RuleSet,
    generation: number,
    nowMs: number,
  ): Denial {
    const facts = factsOf(request, verdict, rules, generation, nowMs);
    const denial = { facts, lastAtMs: nowMs, count: 1 };
    this.#keep(denial);
    return denial;
  }

  /** A denial of another request, for the very reasons of one that differs in nothing but its context. */
  recordAlike(request: PolicyRequest, { facts }: Denial, nowMs: number): Denial {
    const own = { id: newId(), firstAtMs: nowMs, context: safeContext(request) };
    const denial = { facts: { ...facts, ...own }, lastAtMs: nowMs, count: 1 };
    this.#keep(denial);
    return denial;
  }

  /** The same denial again, which keeps its id. */
  repeat(denial: Denial, nowMs: number): void {
    denial.lastAtMs = nowMs;
    denial.count += 1;
    this.#keep(denial);
  }

  #keep(denial: Denial): void {
    const { id, principal } = denial.facts;
    const own = this.#byPrincipal.get(principal) ?? new Lru<Denial>(maxDenialsPerPrincipal);
    this.#byPrincipal.set(principal, own);
    const crowdedOut = own.set(id, denial);
    if (crowdedOut !== undefined) this.#byId.delete(crowdedOut.facts.id);
    const oldest = this.#byId.set(id, denial);
    if (oldest !== undefined) this.#forget(oldest);
  }

  #forget({ facts: { id, principal } }: Denial): void {
    const own = this.#byPrincipal.get(principal);
    own?.delete(id);
    if (own?.size === 0) this.#byPrincipal.delete(principal);
  }

  explain(id: string): Explanation | undefined {
    const denial = this.#byId.get(id.toLowerCase());
    if (denial === undefined) return undefined;
    const { facts, lastAtMs, count } = denial;
    return { ...facts, lastAtMs, count, text: textOf(facts, lastAtMs, count) };
  }
}

/** Which id a verdict is known by: an error first, for then no rule really decided. */
export function decidingRule({ allow, rules, errors }: Verdict): string {
  if (!allow && errors.length > 0) return policyError;
  return rules[0] ?? defaultDeny;
}

function factsOf(
  request: PolicyRequest,
  verdict: Verdict,
  { rules, byId }: RuleSet,
  generation: number,
  nowMs: number,
): Denial['facts'] {
  const { principal, action, resource } = request;
  const groups = groupIds(principal).map(({ id }) => id);
  const rule = decidingRule(verdict);
  // Where something erred, what Cedar gives as reasons may be the permits past a forbid that could not be judged.
  const forbidBy = verdict.errors.length > 0 ? [] : verdict.rules.map(id => placeOf(id, byId));
  return {
    id: newId(),
    firstAtMs: nowMs,
    principal: safe(principalName(principal)),
    groups: groups.slice(0, maxExplainedGroups).map(safe),
    groupCount: groups.length,
    ...(principal.kind === 'user' && principal.email !== undefined ? { email: safe(principal.email) } : {}),
    action,
    resource: safe(entityLabel(resource)),
    context: safeContext(request),
    rule,
    forbidBy,
    errors: verdict.errors.map(safe),
    nearMisses: rule === defaultDeny ? nearMisses(rules, request) : [],
    generation,
  };
}

function newId(): string {
  return randomBytes(4).toString('hex');
}

function safeContext({ context }: PolicyRequest): Record<string, string> {
  return Object.fromEntries(Object.entries(context).map(([key, value]) => [safe(key), safe(String(value))]));
}

function placeOf(id: string, byId: RuleSet['byId']): string {
  const rule = byId.get(id);
  return rule === undefined ? id : `${id} (${rule.file}:${rule.line})`;
}

function safe(text: string): string {
  return safeText(text, maxExplainedChars);
}

function textOf(facts: Denial['facts'], lastAtMs: number, count: number): string {
  const more = facts.groupCount - facts.groups.length;
  const groups = facts.groups.length === 0 ? 'none' : facts.groups.join(', ');
  const context = Object.entries(facts.context).map(([key, value]) => `${key}=${value}`);
  const lines = [
    `${facts.id}: denied ${facts.action} on ${facts.resource}, rule ${facts.rule}`,
    `when:   ${iso(lastAtMs)}${count > 1 ? `, ${count} times since ${iso(facts.firstAtMs)}` : ''}`,
    `who:    ${facts.principal}${facts.email === undefined ? '' : ` <${facts.email}>`}`,
    `groups: ${groups}${more > 0 ? ` and ${more} more` : ''}`,
    ...(context.length > 0 ? [`facts:  ${context.join(', ')}`] : []),
    ...whyOf(facts, groups),
  ];
  return lines.join('\n');
}

function whyOf(facts: Denial['facts'], groups: string): readonly string[] {
  if (facts.errors.length > 0) return facts.errors.map(error => `error:  ${error}`);
  if (facts.forbidBy.length > 0) return facts.forbidBy.map(rule => `forbid: ${rule}`);
  return [
    `why:    no permit for action ${facts.action} on ${facts.resource}; groups seen: ${groups}`,
    ...facts.nearMisses.map(line => `near:   ${line}`),
  ];
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
