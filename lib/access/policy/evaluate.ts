import type { AuthorizationAnswer, CedarValueJson, EntityJson } from '@cedar-policy/cedar-wasm/nodejs';
import { invariant, LockwireError, messageOf } from '../../core/errors.ts';
import { askEngine, engineGeneration } from './engine.ts';
import type { RuleSet } from './load-policies.ts';
import { maxRequestChars } from './options.ts';
import { policySchema } from './schema.ts';
import { entityId, groupIds, holders, type PolicyRequest, principalId } from './vocabulary.ts';

/** What the policies say of one request. */
export interface Verdict {
  readonly allow: boolean;
  /** Ids of the policies that decided, in the order they were read. */
  readonly rules: readonly string[];
  /** What went wrong in deciding; then the answer is always no. */
  readonly errors: readonly string[];
}

const schemaName = 'lockwire';
/** Of the engine that has the schema. */
let schemaGeneration = 0;
let prepared = 0;

/**
 * Policies made ready to be asked many times. Cedar keeps them by name and offers no way to drop one, so there are two
 * names: one for those in force, one for those that may follow them.
 */
export class PreparedRules {
  #name: string;
  #spare: string;
  #rules: RuleSet;
  /** Of the engine that has them. */
  #generation: number;
  #preparations = 0;

  constructor(rules: RuleSet) {
    prepared += 1;
    this.#name = `rules-${prepared}-a`;
    this.#spare = `rules-${prepared}-b`;
    this.#generation = prepareRules(this.#name, rules);
    this.#rules = rules;
  }

  get rules(): RuleSet {
    return this.#rules;
  }

  /**
   * Makes new ones ready; the function that it gives puts them in force, unless others were made ready since. Throws
   * `config` where Cedar can't take them.
   */
  prepare(rules: RuleSet): () => void {
    const generation = prepareRules(this.#spare, rules);
    this.#preparations += 1;
    const own = this.#preparations;
    return () => {
      invariant(
        own === this.#preparations,
        'policies were made ready twice, and the first ones put in force',
      );
      [this.#name, this.#spare] = [this.#spare, this.#name];
      this.#preparations += 1;
      this.#generation = generation;
      this.#rules = rules;
    };
  }

  /** Never throws: what can't be asked is denied. */
  decide(request: PolicyRequest): Verdict {
    return judge(this.#rules, request, call => {
      this.#renew();
      return askEngine(({ statefulIsAuthorized }) =>
        statefulIsAuthorized({
          ...call,
          preparsedSchemaName: schemaName,
          validateRequest: true,
          preparsedPolicySetId: this.#name,
        }),
      );
    });
  }

  /** Whatever broke the engine, the policies in force are put into the one that took its place. */
  #renew(): void {
    if (this.#generation !== engineGeneration()) this.#generation = prepareRules(this.#name, this.#rules);
  }
}

/** Asks once, without keeping anything. Never throws. */
export function decideOnce(rules: RuleSet, request: PolicyRequest): Verdict {
  return judge(rules, request, call =>
    askEngine(({ isAuthorized }) =>
      isAuthorized({
        ...call,
        schema: policySchema,
        validateRequest: true,
        policies: { staticPolicies: textsOf(rules) },
      }),
    ),
  );
}

interface Call {
  principal: { type: string; id: string };
  action: { type: string; id: string };
  resource: { type: string; id: string };
  context: Record<string, CedarValueJson>;
  entities: EntityJson[];
}

function judge({ byId }: RuleSet, request: PolicyRequest, ask: (call: Call) => AuthorizationAnswer): Verdict {
  try {
    checkTexts(request);
    const answer = ask(callOf(request));
    if (answer.type === 'failure') return denied(answer.errors.map(({ message }) => message));
    const { decision, diagnostics } = answer.response;
    const rules = inOrder(diagnostics.reason, byId);
    const errors = diagnostics.errors.map(({ policyId, error }) => `${policyId}: ${error.message}`);
    // Cedar skips a policy that errs, and answers "allow" past a forbid that could not be judged.
    return { allow: decision === 'allow' && errors.length === 0, rules, errors };
  } catch (error) {
    // A call of the wrong shape throws.
    return denied([messageOf(error)]);
  }
}

/** Cedar gives the reasons in no order; the one that is told must be the same each time. */
function inOrder(reasons: readonly string[], byId: RuleSet['byId']): readonly string[] {
  if (reasons.length < 2) return reasons;
  const wanted = new Set(reasons);
  return [...byId.keys()].filter(id => wanted.has(id));
}

function denied(errors: readonly string[]): Verdict {
  return { allow: false, rules: [], errors };
}

/**
 * Lone surrogates become U+FFFD on their way into Cedar, so another text would be judged than the one that is used
 * afterwards.
 */
function checkTexts({ principal, resource, context }: PolicyRequest): void {
  const own = principal.kind === 'user' ? [principal.subject, principal.email ?? ''] : [principal.name];
  const facts = Object.values(context).filter(value => typeof value === 'string');
  for (const text of [...own, ...principal.groups, resource.id, ...facts]) {
    if (text.length > maxRequestChars)
      throw new LockwireError('limit', `text of ${text.length} characters, at most ${maxRequestChars}`);
    if (!text.isWellFormed()) throw new LockwireError('protocol', 'text is not well-formed Unicode');
  }
}

function callOf(request: PolicyRequest): Call {
  const { principal, action, resource, context } = request;
  const uid = principalId(principal);
  const groups = groupIds(principal);
  const held = entityId(resource.type, resource.id);
  const attrs: Record<string, CedarValueJson> =
    principal.kind === 'user'
      ? { issuer: principal.issuer, ...(principal.email === undefined ? {} : { email: principal.email }) }
      : { source: principal.source, name: principal.name };
  return {
    principal: uid,
    action: entityId('Action', action),
    resource: held,
    context: { ...context },
    entities: [
      { uid, attrs, parents: [...groups] },
      { uid: held, attrs: {}, parents: [...holders(resource)] },
    ],
  };
}

function textsOf({ rules }: RuleSet): Record<string, string> {
  return Object.fromEntries(rules.map(({ id, text }) => [id, text]));
}

/** Gives the generation of the engine that has them now. */
function prepareRules(name: string, rules: RuleSet): number {
  prepareSchema();
  const answer = askEngine(({ preparsePolicySet }) =>
    preparsePolicySet(name, { staticPolicies: textsOf(rules) }),
  );
  if (answer.type === 'failure')
    throw new LockwireError('config', answer.errors.map(({ message }) => message).join('\n'));
  return engineGeneration();
}

function prepareSchema(): void {
  if (schemaGeneration === engineGeneration()) return;
  const answer = askEngine(({ preparseSchema }) => preparseSchema(schemaName, policySchema));
  if (answer.type === 'failure')
    throw new Error(`internal error: ${answer.errors.map(({ message }) => message).join('; ')}`);
  schemaGeneration = engineGeneration();
}
