import type { Authorizer, Metrics } from './core/ports.ts';
import { ambiguousPath, callContext } from './core/request-path.ts';
import type { Identity } from './core/session.ts';
import { denial } from './gateway-denial.ts';
import type { Target } from './gateway-target.ts';
import { type Refusal, refusalOf, refusalWith } from './relay/http2/refusal.ts';
import type { RequestHead } from './relay/http2/request.ts';

export interface CallsPorts {
  readonly authorizer: Authorizer;
  readonly metrics: Metrics;
}

/** Whether a request may be made of a target: its form, then the policy. */
export class Calls {
  readonly #authorizer: Authorizer;
  readonly #requests: (target: string) => { add(amount?: number): void };
  readonly #refusals: (target: string, reason: string) => { add(amount?: number): void };

  constructor({ authorizer, metrics }: CallsPorts) {
    this.#authorizer = authorizer;
    this.#requests = metrics.counters(
      'lockwire_http2_requests_total',
      'HTTP/2 requests that were permitted, by target.',
      ['target'],
    );
    this.#refusals = metrics.counters(
      'lockwire_http2_refusals_total',
      'HTTP/2 requests that the gateway answered itself, by target and reason.',
      ['target', 'reason'],
    );
  }

  /** Rises with each change of the policies. */
  get generation(): number {
    return this.#authorizer.generation;
  }

  counter(target: string): { add(amount?: number): void } {
    return this.#requests(target);
  }

  /** `target` is '' where the request has none. */
  countRefusal(target: string, { reason }: Refusal): void {
    this.#refusals(target, reason.code).add();
  }

  /** Undefined where it may. */
  refusal({ principal }: Identity, target: Target, head: RequestHead): Refusal | undefined {
    const { method, authority, path } = head;
    const wrong = ambiguousPath(path, method);
    if (wrong !== undefined)
      return refusalOf({
        code: 'protocol',
        text: `the path has ${wrong}, which servers read in more than one way`,
      });
    if (target.http2?.grpc && !head.grpc)
      return refusalWith(415, { code: 'protocol', text: `target "${target.name}" takes gRPC only` });
    const resource = { type: 'Target', id: target.name } as const;
    const context = callContext(method, authority, path);
    const decision = this.#authorizer.decide({ principal, action: 'call', resource, context });
    if (decision.allow) return undefined;
    return refusalOf(denial(target.name, decision, 'call'));
  }
}
