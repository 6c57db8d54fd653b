import type { Clock } from './core/clock.ts';
import { invariant } from './core/errors.ts';
import type {
  AcceptedCall,
  Authorizer,
  CallEvents,
  CallField,
  CallStream,
  Decision,
  Dialect,
  Log,
  Metrics,
} from './core/ports.ts';
import type { CloseReason, Principal } from './core/session.ts';
import { createAutogenDialect } from './dialects/autogen-rpc/dialect.ts';
import { AutogenMetrics } from './dialects/autogen-rpc/metrics.ts';
import type { Target } from './gateway-target.ts';
import { addressedAs } from './gateway-upstreams.ts';
import type { ClientCall } from './relay/http2/client-call.ts';
import type { HeldBudget } from './relay/http2/held-budget.ts';
import { openCall } from './relay/http2/target-call.ts';
import type { Upstreams } from './relay/http2/upstreams.ts';

export interface DialectsPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly authorizer: Authorizer;
  readonly targets: ReadonlyMap<string, Target>;
  readonly held: HeldBudget;
}

/** What a call's connection knows of itself. */
export interface CallContext {
  readonly target: Target;
  readonly upstreams: Upstreams;
  /** The tunnel session, or the direct client by its credential. */
  readonly session: string;
  principal(): Principal;
  generation(): number;
  notice(reason: CloseReason): void;
}

/** The dialects of the targets that have one; each lives as long as its target is in the config. */
export class Dialects {
  readonly #ports: DialectsPorts;
  readonly #metrics: AutogenMetrics;
  /** By target's name; bounded by the config. */
  readonly #dialects = new Map<string, { readonly options: unknown; readonly dialect: Dialect }>();

  constructor(ports: DialectsPorts) {
    this.#ports = ports;
    this.#metrics = new AutogenMetrics(ports.metrics);
  }

  /** What takes a target's calls over; undefined where they are passed on as they are. */
  taker(context: CallContext): ((call: ClientCall) => boolean) | undefined {
    const dialect = this.#of(context.target);
    if (dialect === undefined) return undefined;
    return call => dialect.take(new DialectCall(call, context, this.#ports.authorizer));
  }

  /** The rules have changed. */
  judgeAnew(): void {
    for (const [name, { dialect }] of [...this.#dialects]) {
      if (this.#ports.targets.get(name)?.autogen === undefined) this.#end(name, dialect);
      else dialect.judgeAnew();
    }
  }

  /** For `lockwire sessions`. */
  describe(): unknown {
    return Object.fromEntries([...this.#dialects].map(([name, { dialect }]) => [name, dialect.describe()]));
  }

  close(reason: CloseReason): void {
    for (const { dialect } of this.#dialects.values()) dialect.close(reason);
    this.#dialects.clear();
  }

  #of({ name, autogen }: Target): Dialect | undefined {
    if (autogen === undefined) return undefined;
    const known = this.#dialects.get(name);
    if (known !== undefined) {
      if (known.options === autogen) return known.dialect;
      // Sizes or deadlines are others now: its channels end, and their clients open them anew.
      this.#end(name, known.dialect);
    }
    const { clock, log, held } = this.#ports;
    const dialect = createAutogenDialect(
      {
        target: name,
        maxMessageBytes: autogen.maxMessageBytes,
        exclusive: autogen.exclusiveWorkers,
        requestTimeoutMs: autogen.requestTimeoutMs,
        stallTimeoutMs: autogen.stallTimeoutMs,
      },
      {
        clock,
        log: log.child({ target: name }),
        metrics: this.#metrics,
        target: { open, address },
        buffers: { share: principal => held.share(`messages of ${principal}`) },
      },
    );
    this.#dialects.set(name, { options: autogen, dialect });
    return dialect;
  }

  #end(name: string, dialect: Dialect): void {
    this.#dialects.delete(name);
    dialect.close({ code: 'denied', text: `target "${name}" has changed` });
  }
}

/** A client's call as its dialect sees it. */
class DialectCall implements AcceptedCall {
  readonly call: ClientCall;
  readonly context: CallContext;
  readonly #authorizer: Authorizer;

  constructor(call: ClientCall, context: CallContext, authorizer: Authorizer) {
    this.call = call;
    this.context = context;
    this.#authorizer = authorizer;
  }

  get path(): string {
    return this.call.head.path;
  }

  get fields(): readonly CallField[] {
    return this.call.head.fields;
  }

  get stream(): CallStream {
    return this.call;
  }

  get session(): string {
    return this.context.session;
  }

  principal(): Principal {
    return this.context.principal();
  }

  generation(): number {
    return this.context.generation();
  }

  decide(
    resource: Parameters<AcceptedCall['decide']>[0],
    facts: Parameters<AcceptedCall['decide']>[1],
  ): Decision {
    return this.#authorizer.decide({
      principal: this.principal(),
      action: 'message',
      resource,
      context: facts,
    });
  }

  notice(reason: CloseReason): void {
    this.context.notice(reason);
  }
}

async function open(accepted: AcceptedCall, events: CallEvents): Promise<CallStream> {
  const { call, context } = wired(accepted);
  return await openCall(context.upstreams, call.bearer.principal, call.held, events);
}

function address(accepted: AcceptedCall): { scheme: 'http' | 'https'; authority: string } {
  const { call, context } = wired(accepted);
  const { scheme, authority } = addressedAs(context.target);
  return { scheme, authority: authority ?? call.head.authority };
}

function wired(accepted: AcceptedCall): DialectCall {
  invariant(accepted instanceof DialectCall, 'a call that no relay handed over');
  return accepted;
}
