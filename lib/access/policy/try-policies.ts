import { LockwireError } from '../../core/errors.ts';
import { decidingRule } from './denials.ts';
import { decideOnce } from './evaluate.ts';
import { loadPolicies } from './load-policies.ts';
import { nearMisses } from './near-misses.ts';
import type { KnownNames, PolicyFile } from './options.ts';
import type { PolicyRequest } from './vocabulary.ts';

/** What the policies would say, without a gateway. */
export interface Trial {
  readonly allow: boolean;
  /** The id that a session or a refusal would show. */
  readonly rule: string;
  /** Ids of all policies that decided. */
  readonly rules: readonly string[];
  /** Errors of loading or of deciding; either denies. */
  readonly errors: readonly string[];
  /** Permits that nearly applied to what was denied by default. */
  readonly nearMisses: readonly string[];
}

/** Answers `lockwire policy try`. Policies that don't load deny, and say why. */
export async function tryPolicies(trial: {
  readonly policies: readonly PolicyFile[];
  readonly request: PolicyRequest;
  readonly known?: KnownNames;
}): Promise<Trial> {
  try {
    const rules = await loadPolicies(trial.policies, trial.known);
    const verdict = decideOnce(rules, trial.request);
    const { allow, errors } = verdict;
    const byDefault = !allow && verdict.rules.length === 0 && errors.length === 0;
    return {
      allow,
      rule: decidingRule(verdict),
      rules: verdict.rules,
      errors,
      nearMisses: byDefault ? nearMisses(rules.rules, trial.request) : [],
    };
  } catch (error) {
    if (!(error instanceof LockwireError)) throw error;
    return {
      allow: false,
      rule: 'policy-error',
      rules: [],
      errors: error.message.split('\n'),
      nearMisses: [],
    };
  }
}
