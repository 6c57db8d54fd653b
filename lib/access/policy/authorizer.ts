import type { Clock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import type { AccessRequest, Action, Authorizer, Counter, Decision, Log, Metrics } from '../../core/ports.ts';
import { LimitedLog } from '../limited-log.ts';
import { DecisionCache } from './decision-cache.ts';
import { type Denial, Denials, decidingRule, type Explanation } from './denials.ts';
import { PreparedRules } from './evaluate.ts';
import { loadPolicies, policyError, type RuleSet } from './load-policies.ts';
import {
  type KnownNames,
  maxCachedDecisions,
  maxCachedDecisionsPerPrincipal,
  type PolicyFile,
} from './options.ts';
import { exactKey, QuestionKeys } from './question-keys.ts';
import { actions, type PolicyRequest } from './vocabulary.ts';

export interface PolicyOptions {
  readonly policies: readonly PolicyFile[];
  /** Where given, policies that name anything else are refused. */
  readonly known?: KnownNames;
}

export interface PolicyPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** An authorizer whose policies can be replaced while it runs. */
export interface ReplaceableAuthorizer extends Authorizer {
  /** As the port's, for every resource of the vocabulary. */
  decide(request: AccessRequest | PolicyRequest): Decision;
  /**
   * Makes new policies ready, whole or, rejecting with `config`, not at all. The function that it gives puts them in
   * force and forgets decisions: before the next are made ready, it cannot fail.
   */
  prepare(policies: readonly PolicyFile[], known?: KnownNames): Promise<() => void>;
  /** Why a denial of the last 4,096 was one. */
  explain(id: string): Explanation | undefined;
}

/** Throws `config` with all that is wrong with the policies. */
export async function createAuthorizer(
  options: PolicyOptions,
  ports: PolicyPorts,
): Promise<ReplaceableAuthorizer> {
  const rules = await loadPolicies(options.policies, options.known);
  return new PolicyRoom(new PreparedRules(rules), ports);
}

interface Known {
  readonly decision: Decision;
  readonly denial?: Denial;
}

class PolicyRoom implements ReplaceableAuthorizer {
  readonly #prepared: PreparedRules;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #refusals: LimitedLog;
  /** Of each action: found once, as it is asked for each request. */
  readonly #counts: ReadonlyMap<Action, { readonly allow: Counter; readonly deny: Counter }>;
  readonly #hits: Counter;
  readonly #cache = new DecisionCache<Known>({
    maxEntries: maxCachedDecisions,
    maxEntriesPerPrincipal: maxCachedDecisionsPerPrincipal,
  });
  readonly #denials = new Denials();
  #keys: QuestionKeys;
  #generation = 1;
  #loading: Promise<void> = Promise.resolve();

  constructor(prepared: PreparedRules, { clock, log, metrics }: PolicyPorts) {
    this.#prepared = prepared;
    this.#keys = keysFor(prepared.rules);
    this.#clock = clock;
    this.#log = log;
    this.#refusals = new LimitedLog(log, clock);
    const count = metrics.counters('lockwire_decisions_total', 'Policy decisions', ['action', 'result']);
    this.#counts = new Map(
      actions.map(action => [action, { allow: count(action, 'allow'), deny: count(action, 'deny') }]),
    );
    this.#hits = metrics.counter(
      'lockwire_decisions_cached_total',
      'Policy decisions answered from the cache',
    );
    metrics.gauge('lockwire_denials_kept', 'Denials that can be explained', () => this.#denials.size);
    this.#welcome(prepared.rules);
  }

  get generation(): number {
    return this.#generation;
  }

  decide(request: PolicyRequest): Decision {
    try {
      const known = this.#known(request);
      this.#counts.get(request.action)?.[known.decision.allow ? 'allow' : 'deny'].add();
      return known.decision;
    } catch (error) {
      this.#log.error({ error: messageOf(error) }, 'internal error: a decision failed and is a denial');
      return { allow: false, id: '', rule: policyError };
    }
  }

  explain(id: string): Explanation | undefined {
    return this.#denials.explain(id);
  }

  prepare(policies: readonly PolicyFile[], known?: KnownNames): Promise<() => void> {
    // One after the other: the last one asked for is the one that stays.
    const prepared = this.#loading.then(async () => {
      const rules = await loadPolicies(policies, known);
      const keys = keysFor(rules);
      const commit = this.#prepared.prepare(rules);
      return () => {
        commit();
        this.#keys = keys;
        this.#cache.clear();
        this.#generation += 1;
        this.#welcome(rules);
      };
    });
    this.#loading = prepared.then(
      () => {},
      () => {},
    );
    return prepared;
  }

  #known(request: PolicyRequest): Known {
    const key = this.#keys.keyOf(request);
    const alike = this.#cache.get(request.principal, key);
    if (alike === undefined || alike.denial !== undefined) return this.#unpermitted(request, key, alike);
    this.#hits.add();
    return alike;
  }

  /**
   * Of a request that no permit is remembered for. A denial's id stands for one request with all that it asked: a
   * denial of one that the policies can't tell from it lends its reasons, not its id.
   */
  #unpermitted(request: PolicyRequest, key: string, alike: Known | undefined): Known {
    const exact = exactKey(request);
    const same = exact === key ? alike : this.#cache.get(request.principal, exact);
    if (same?.denial !== undefined) {
      this.#hits.add();
      this.#denials.repeat(same.denial, this.#clock.now());
      return same;
    }
    if (alike?.denial === undefined) return this.#judge(request, key, exact);
    this.#hits.add();
    return this.#refuse(request, exact, this.#denials.recordAlike(request, alike.denial, this.#clock.now()));
  }

  #judge(request: PolicyRequest, key: string, exact: string): Known {
    const verdict = this.#prepared.decide(request);
    const rule = decidingRule(verdict);
    if (verdict.allow) {
      const known = { decision: { allow: true, id: '', rule } };
      this.#cache.set(request.principal, key, known);
      return known;
    }
    const { rules } = this.#prepared;
    const denial = this.#denials.record(request, verdict, rules, this.#generation, this.#clock.now());
    const known = this.#refuse(request, exact, denial);
    // What erred may quote this very request.
    if (key !== exact && verdict.errors.length === 0) this.#cache.set(request.principal, key, known);
    return known;
  }

  /** Tells the log of a new denial, and remembers it for its very request. */
  #refuse(request: PolicyRequest, exact: string, denial: Denial): Known {
    const { id, principal, action, resource, context, rule, errors } = denial.facts;
    this.#refusals.warn(
      principal,
      {
        ...context,
        decision: id,
        principal,
        action,
        resource,
        rule,
        ...(errors.length > 0 ? { errors } : {}),
      },
      'denied by policy',
    );
    const known = { decision: { allow: false, id, rule }, denial };
    this.#cache.set(request.principal, exact, known);
    return known;
  }

  #welcome({ rules, warnings }: RuleSet): void {
    for (const warning of warnings) this.#log.warn({ warning }, 'a policy can never apply');
    this.#log.info({ policies: rules.length, generation: this.#generation }, 'policies are in force');
  }
}

function keysFor({ rules }: RuleSet): QuestionKeys {
  return new QuestionKeys(rules.map(({ json }) => json));
}
