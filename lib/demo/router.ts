import { safeText } from '../core/bytes.ts';
import { messageOf } from '../core/errors.ts';
import type { Log } from '../core/ports.ts';
import { messageCodec, type RpcRequest, type RpcResponse } from './agent-rpc.ts';
import type { HostLimits } from './options.ts';
import { PendingRequests } from './pending-requests.ts';
import type { Registry } from './registry.ts';
import type { Incoming } from './service.ts';
import type { Worker } from './worker.ts';

export interface Routed {
  requests: number;
  responses: number;
  events: number;
  /** Messages that say nothing, and answers to what was never asked. */
  ignored: number;
}

/** Carries messages between workers as AutoGen's host does; every request is answered, if only with an error. */
export class Router {
  readonly counts: Routed = { requests: 0, responses: 0, events: 0, ignored: 0 };
  readonly #registry: Registry<Worker>;
  readonly #limits: HostLimits;
  readonly #log: Log;
  readonly #pending: PendingRequests<Worker>;

  constructor(registry: Registry<Worker>, limits: HostLimits, log: Log) {
    this.#registry = registry;
    this.#limits = limits;
    this.#log = log;
    this.#pending = new PendingRequests(limits);
  }

  get pendingRequests(): number {
    return this.#pending.size;
  }

  route(sender: Worker, { bytes, message }: Incoming): void {
    if (message.request) this.#request(sender, message.request);
    else if (message.response) this.#response(sender, message.response);
    else if (message.cloudEvent) this.#event(sender, message.cloudEvent.type, bytes);
    else this.#ignore(sender, 'an empty message');
  }

  /** The worker is gone; whoever waits for its answer is told. */
  drop(worker: Worker): void {
    for (const { caller, requestId } of this.#pending.drop(worker))
      answer(caller, requestId, 'the worker that was asked is gone');
  }

  #request(sender: Worker, request: RpcRequest): void {
    this.counts.requests += 1;
    const { requestId } = request;
    const type = request.target?.type ?? '';
    const target = this.#registry.ownerOf(type);
    if (!target?.connected) {
      answer(sender, requestId, `no agent of type ${safeText(type, 128)} is registered`, sender);
      return;
    }
    try {
      request.requestId = this.#pending.open(sender, requestId, target);
    } catch (error) {
      answer(sender, requestId, messageOf(error), sender);
      return;
    }
    const bytes = messageCodec.encode({ request });
    if (bytes.byteLength <= this.#limits.maxMessageBytes) {
      target.send(bytes, sender);
      return;
    }
    // Our id is longer than the caller's: such a message would end the target's channel (RESOURCE_EXHAUSTED).
    this.#pending.close(request.requestId, target);
    answer(sender, requestId, tooLong(bytes, this.#limits), sender);
  }

  #response(sender: Worker, response: RpcResponse): void {
    const pending = this.#pending.close(response.requestId, sender);
    if (!pending) {
      this.#ignore(sender, 'an answer to nothing');
      return;
    }
    this.counts.responses += 1;
    response.requestId = pending.requestId;
    const bytes = messageCodec.encode({ response });
    if (bytes.byteLength <= this.#limits.maxMessageBytes) pending.caller.send(bytes, sender);
    else answer(pending.caller, pending.requestId, tooLong(bytes, this.#limits), sender);
  }

  /** The event goes on as the bytes it came in, once to each worker: that finds its agents and skips the sender's. */
  #event(sender: Worker, topicType: string, bytes: Uint8Array): void {
    this.counts.events += 1;
    const shared = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (const worker of this.#registry.recipients(topicType)) worker.send(shared, sender);
  }

  #ignore(sender: Worker, what: string): void {
    this.counts.ignored += 1;
    this.#log.debug({ client: sender.clientId }, `ignored ${what}`);
  }
}

/** `cause` is read no further while the caller's queue is full: our own answers must not fill it without bound. */
function answer(caller: Worker, requestId: string, error: string, cause?: Worker): void {
  caller.send(messageCodec.encode({ response: { requestId, error } }), cause);
}

function tooLong(bytes: Buffer, limits: HostLimits): string {
  return `the message is ${bytes.byteLength} bytes long, the most is ${limits.maxMessageBytes}`;
}
