import { LockwireError, messageOf } from '../../core/errors.ts';
import type { AcceptedCall, Dialect } from '../../core/ports.ts';
import { type CloseReason, principalName } from '../../core/session.ts';
import { GrpcStatus } from '../../wire/grpc/status.ts';
import { parseGrpcTimeout } from '../../wire/grpc/timeout.ts';
import { Channel } from './channel.ts';
import type { Client } from './client.ts';
import { type AutogenDescription, describe } from './describe.ts';
import { refuse } from './drain.ts';
import { fieldValue, type Status } from './grpc-answer.ts';
import { servicePath } from './host-address.ts';
import { Hub } from './hub.ts';
import { judgeAnew } from './judge-anew.ts';
import { type AutogenOptions, type AutogenPorts, autogenDefaults, checkAutogenOptions } from './options.ts';
import { isUnaryMethod, Registrations, type UnaryMethod } from './registrations.ts';
import { UnaryCall } from './unary-call.ts';

/** What is to be said of a target; the rest has defaults. */
export type AutogenSettings = Partial<AutogenOptions> & Pick<AutogenOptions, 'target'>;

/** AutoGen's runtime protocol, message by message, for one target. Throws LockwireError `config`. */
export function createAutogenDialect(settings: AutogenSettings, ports: AutogenPorts): AutogenDialect {
  const options = { ...autogenDefaults, ...settings };
  checkAutogenOptions(options);
  return new AutogenDialect(options, ports);
}

export class AutogenDialect implements Dialect {
  readonly #hub: Hub;
  readonly #registrations: Registrations;
  readonly #unwatch: () => void;

  constructor(options: AutogenOptions, ports: AutogenPorts) {
    this.#hub = new Hub(options, ports);
    this.#registrations = new Registrations(this.#hub);
    this.#unwatch = ports.metrics.watch(() => ({
      ...describe(this.#hub),
      agentTypes: this.#hub.registry.agentTypes,
    }));
  }

  /** Every call of the service is taken, however it is written: ASP.NET's hosts don't tell capitals from small letters. */
  take(call: AcceptedCall): boolean {
    if (!call.path.toLowerCase().startsWith(servicePath.toLowerCase())) return false;
    const method = call.path.startsWith(servicePath) ? call.path.slice(servicePath.length) : '';
    const { clock } = this.#hub.ports;
    if (method !== 'OpenChannel' && !isUnaryMethod(method)) {
      refuse(
        call.stream,
        { code: GrpcStatus.unimplemented, text: 'not a method that the gateway passes on' },
        clock,
      );
      return true;
    }
    const client = this.#clientOf(call);
    if ('code' in client) refuse(call.stream, client, clock);
    else if (method === 'OpenChannel') this.#open(client, call);
    else this.#answer(method, client, call);
    return true;
  }

  judgeAnew(): void {
    for (const client of [...this.#hub.clients.all()]) judgeAnew(this.#hub, client);
  }

  describe(): AutogenDescription {
    return describe(this.#hub);
  }

  close({ text, decision }: CloseReason): void {
    const status = { code: GrpcStatus.unavailable, text, ...(decision ? { decision } : {}) };
    for (const client of [...this.#hub.clients.all()]) client.channel?.finish(status);
    this.#hub.close();
    this.#unwatch();
  }

  #clientOf(call: AcceptedCall): Client | Status {
    const { maxNameBytes } = this.#hub.options;
    const ids = call.fields.filter(f => f.name === 'client-id');
    const id = ids[0]?.value ?? '';
    if (ids.length !== 1 || id === '')
      return { code: GrpcStatus.invalidArgument, text: 'client-id metadata must be there exactly once' };
    if (id.length > maxNameBytes) {
      const text = `client-id metadata is ${id.length} bytes long, the most is ${maxNameBytes}`;
      return { code: GrpcStatus.invalidArgument, text };
    }
    try {
      return this.#hub.clients.of(call, id);
    } catch (error) {
      if (!(error instanceof LockwireError)) throw error;
      return { code: GrpcStatus.resourceExhausted, text: messageOf(error) };
    }
  }

  #open(client: Client, call: AcceptedCall): void {
    const { clock } = this.#hub.ports;
    if (client.channel) {
      const text = 'this worker has an open channel; a second one would take its messages';
      return refuse(call.stream, { code: GrpcStatus.alreadyExists, text }, clock);
    }
    const channel = new Channel(this.#hub, client, call);
    client.channel = channel;
    client.call = call;
    channel.start(timeoutOf(call));
  }

  #answer(method: UnaryMethod, client: Client, call: AcceptedCall): void {
    const { ports, options, clients } = this.#hub;
    client.calls += 1;
    new UnaryCall(call, principalName(call.principal()), ports, {
      maxMessageBytes: options.maxMessageBytes.up,
      timeoutMs: Math.min(options.unaryTimeoutMs, timeoutOf(call) ?? Number.POSITIVE_INFINITY),
      handle: (message, wanted) => this.#registrations.handle(method, { client, call, wanted }, message),
      over: () => {
        client.calls -= 1;
        clients.left(client);
      },
    }).start();
  }
}

/** What a timer holds: 24.8 days. A longer deadline is none. */
const maxTimerMs = 0x7fffffff;

function timeoutOf(call: AcceptedCall): number | undefined {
  const text = fieldValue(call.fields, 'grpc-timeout');
  const timeoutMs = text === undefined ? undefined : parseGrpcTimeout(text);
  return timeoutMs !== undefined && timeoutMs < maxTimerMs ? timeoutMs : undefined;
}
