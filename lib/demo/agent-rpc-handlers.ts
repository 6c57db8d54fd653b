/** AutoGen's six RPCs as grpc-js takes them. */
import type { EventEmitter } from 'node:events';
import {
  type handleBidiStreamingCall,
  type handleUnaryCall,
  Metadata,
  type ServerDuplexStream,
  type sendUnaryData,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { Clock } from '../core/clock.ts';
import { LockwireError, messageOf } from '../core/errors.ts';
import type { Log } from '../core/ports.ts';
import type { Empty, Subscription } from './agent-rpc.ts';
import type { HostLimits } from './options.ts';
import { Outbox } from './outbox.ts';
import { Registry } from './registry.ts';
import { type Routed, Router } from './router.ts';
import type { Incoming } from './service.ts';
import type { Worker } from './worker.ts';
import { Workers } from './workers.ts';

type Channel = ServerDuplexStream<Incoming, Buffer>;

export interface HostStats extends Readonly<Routed> {
  readonly clients: number;
  readonly agentTypes: number;
  readonly subscriptions: number;
  readonly pendingRequests: number;
}

export class AgentRpcHandlers {
  readonly #limits: HostLimits;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #registry: Registry<Worker>;
  readonly #router: Router;
  readonly #workers: Workers;
  readonly #channels = new Map<Worker, Channel>();

  constructor(limits: HostLimits, clock: Clock, log: Log) {
    this.#limits = limits;
    this.#clock = clock;
    this.#log = log;
    this.#registry = new Registry(limits);
    this.#router = new Router(this.#registry, limits, log);
    this.#workers = new Workers(limits, clock, worker => {
      this.#registry.drop(worker);
      this.#router.drop(worker);
    });
  }

  stats(): HostStats {
    return {
      ...this.#router.counts,
      clients: this.#workers.size,
      agentTypes: this.#registry.agentTypes,
      subscriptions: this.#registry.subscriptions,
      pendingRequests: this.#router.pendingRequests,
    };
  }

  /** Ends every channel with a reason that its worker sees. */
  endAll(details: string): void {
    for (const [worker, call] of this.#channels) this.#end(worker, call, status.UNAVAILABLE, details);
  }

  implementation(): UntypedServiceImplementation {
    return {
      OpenChannel: this.#openChannel,
      OpenControlChannel: this.#openControlChannel,
      RegisterAgent: this.#registerAgent,
      AddSubscription: this.#addSubscription,
      RemoveSubscription: this.#removeSubscription,
      GetSubscriptions: this.#getSubscriptions,
    };
  }

  readonly #openChannel: handleBidiStreamingCall<Incoming, Buffer> = call => {
    let worker: Worker;
    try {
      worker = this.#workers.known(this.#clientId(call.metadata));
      // A second channel would take the first one's traffic.
      if (worker.connected) throw new LockwireError('denied', 'this client-id has an open channel already');
    } catch (error) {
      refuseChannel(call, error);
      return;
    }
    worker.orphanTimer?.cancel();
    const sink = { write: (bytes: Buffer, done: () => void) => void call.write(bytes, done) };
    const stalled = () => this.#stalled(worker, call);
    worker.attach(call, new Outbox(sink, this.#limits, this.#clock, stalled));
    this.#channels.set(worker, call);
    this.#log.debug({ client: worker.clientId, peer: call.getPeer() }, 'worker connected');
    call.on('data', (incoming: Incoming) => this.#router.route(worker, incoming));
    // AutoGen's workers leave by a reset; one that half-closes says as well that nothing more will come.
    call.once('end', () => this.#end(worker, call, status.OK, ''));
    call.once('cancelled', () => this.#left(worker, call));
    call.once('close', () => this.#left(worker, call));
    call.on('error', () => this.#left(worker, call));
    call.sendMetadata(new Metadata());
  };

  /** State transfer is not part of this host; the channel opens, and the first message ends it. */
  readonly #openControlChannel: handleBidiStreamingCall<Empty, Empty> = call => {
    try {
      this.#clientId(call.metadata);
    } catch (error) {
      refuseChannel(call, error);
      return;
    }
    call.once('data', () =>
      call.emit('error', { code: status.UNIMPLEMENTED, details: 'this host does not transfer state' }),
    );
    call.once('end', () => call.end());
  };

  readonly #registerAgent: handleUnaryCall<{ readonly type: string }, Empty> = (call, callback) =>
    this.#answer(callback, () => {
      this.#registry.register(this.#workers.known(this.#clientId(call.metadata)), call.request.type);
      return {};
    });

  readonly #addSubscription: handleUnaryCall<{ readonly subscription?: Subscription | null }, Empty> = (
    call,
    callback,
  ) =>
    this.#answer(callback, () => {
      const { subscription } = call.request;
      if (!subscription) throw new LockwireError('usage', 'the subscription is missing');
      this.#registry.subscribe(this.#workers.known(this.#clientId(call.metadata)), subscription);
      return {};
    });

  readonly #removeSubscription: handleUnaryCall<{ readonly id: string }, Empty> = (call, callback) =>
    this.#answer(callback, () => {
      const worker = this.#workers.find(this.#clientId(call.metadata));
      if (!worker || !this.#registry.unsubscribe(worker, call.request.id))
        throw new LockwireError('usage', 'this worker has no such subscription');
      return {};
    });

  readonly #getSubscriptions: handleUnaryCall<Empty, { readonly subscriptions: readonly Subscription[] }> = (
    call,
    callback,
  ) =>
    this.#answer(callback, () => {
      const worker = this.#workers.find(this.#clientId(call.metadata));
      return { subscriptions: worker ? this.#registry.subscriptionsOf(worker) : [] };
    });

  #answer<Response>(callback: sendUnaryData<Response>, handle: () => Response): void {
    let response: Response;
    try {
      response = handle();
    } catch (error) {
      callback(refusal(error));
      return;
    }
    callback(null, response);
  }

  #clientId(metadata: Metadata): string {
    const [value, ...more] = metadata.get('client-id');
    if (value === undefined || more.length > 0 || value.length === 0)
      throw new LockwireError('usage', 'exactly one client-id is needed in the metadata');
    const { maxNameBytes } = this.#limits;
    if (value.length > maxNameBytes)
      throw new LockwireError(
        'limit',
        `client-id is ${value.length} bytes long, the most is ${maxNameBytes}`,
      );
    return value.toString();
  }

  #stalled(worker: Worker, call: Channel): void {
    const { stallTimeoutMs, maxQueuedBytes } = this.#limits;
    this.#log.warn(
      { client: worker.clientId },
      'worker takes no messages: its queue is full, so it is let go',
    );
    this.#end(
      worker,
      call,
      status.RESOURCE_EXHAUSTED,
      `took no message for ${stallTimeoutMs} ms with more than ${maxQueuedBytes} bytes waiting`,
    );
  }

  #end(worker: Worker, call: Channel, code: status, details: string): void {
    this.#left(worker, call);
    if (code === status.OK) call.end();
    else call.emit('error', { code, details });
  }

  #left(worker: Worker, call: Channel): void {
    if (this.#channels.get(worker) !== call) return;
    this.#channels.delete(worker);
    this.#workers.remove(worker);
    this.#log.debug({ client: worker.clientId }, 'worker left');
  }
}

/** grpc-js takes an `error` event with a code as the status to end with. */
function refuseChannel(call: EventEmitter, error: unknown): void {
  call.emit('error', refusal(error));
}

function refusal(error: unknown): { readonly code: status; readonly details: string } {
  if (!(error instanceof LockwireError)) return { code: status.INTERNAL, details: 'internal error' };
  const code =
    error.code === 'limit'
      ? status.RESOURCE_EXHAUSTED
      : error.code === 'denied'
        ? status.ALREADY_EXISTS
        : status.INVALID_ARGUMENT;
  return { code, details: messageOf(error) };
}
