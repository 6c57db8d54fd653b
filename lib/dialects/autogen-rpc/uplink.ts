import { safeText } from '../../core/bytes.ts';
import { LockwireError, messageOf } from '../../core/errors.ts';
import type { AcceptedCall } from '../../core/ports.ts';
import type { CloseReason } from '../../core/session.ts';
import type { Client } from './client.ts';
import type { Outbound } from './held-messages.ts';
import type { Hub } from './hub.ts';
import { headBytes, type MessageHead, readMessageHead } from './message-head.ts';
import type { MessageSink, Skipped } from './message-reader.ts';
import {
  type AgentMessage,
  type EventMessage,
  errorResponse,
  lengthOf,
  type Pieces,
  type RequestMessage,
  type ResponseMessage,
  readMessage,
} from './messages.ts';
import type { Operation } from './metrics.ts';
import type { Pending } from './pending-requests.ts';
import { aboutAgent, aboutPublish, denialText, type Question } from './policy-questions.ts';
import { isOwnSender } from './senders.ts';
import { noRoomText, tooLongText } from './size-texts.ts';
import type { Unanswered } from './unanswered.ts';

export interface UplinkPorts {
  /** Answers the client. */
  answer(response: Pieces): void;
  /** Sends to the host, now or when it and whoever it is for are reached. */
  send(message: Outbound<Client>): void;
  /** Answers a request of the host's; a leg that is gone takes nothing. */
  respond(response: Pieces): void;
}

/** A client's messages on their way to the host: each is decided about, checked and counted. */
export class Uplink implements MessageSink {
  readonly #hub: Hub;
  readonly #client: Client;
  readonly #call: AcceptedCall;
  readonly #unanswered: Unanswered;
  readonly #ports: UplinkPorts;

  constructor(hub: Hub, client: Client, call: AcceptedCall, unanswered: Unanswered, ports: UplinkPorts) {
    this.#hub = hub;
    this.#client = client;
    this.#call = call;
    this.#unanswered = unanswered;
    this.#ports = ports;
  }

  message(bytes: Uint8Array): void {
    try {
      this.#message(readMessage(bytes));
    } catch (error) {
      if (!(error instanceof LockwireError)) throw error;
      this.#malformed(bytes, `the message is malformed: ${messageOf(error)}`);
    }
  }

  #message(message: AgentMessage): void {
    if (message.kind === 'request') this.#request(message);
    else if (message.kind === 'response') this.#response(message);
    else if (message.kind === 'event') this.#event(message);
    // AutoGen's host ignores a message that says nothing; it gets none from us.
  }

  /** The channel stays open: AutoGen's worker would never notice its end, and all its agents be dead. */
  #malformed(bytes: Uint8Array, text: string): void {
    const { kind, requestId } = readMessageHead(bytes.subarray(0, headBytes));
    if (kind === 'request' && requestId !== undefined) this.#refuse('rpc', requestId, text, 'invalid');
    else if (kind === 'response' && requestId !== undefined) this.#respondWith(requestId, text, 'invalid');
    else this.#drop(operationOf(kind), text, 'invalid');
  }

  skipped(head: Uint8Array, { length, limit }: Skipped): void {
    const { kind, requestId } = readMessageHead(head);
    const text = limit === undefined ? noRoomText(length) : tooLongText(length, limit);
    if (kind === 'request' && requestId !== undefined) this.#refuse('rpc', requestId, text, 'too-large');
    else if (kind === 'response' && requestId !== undefined) this.#respondWith(requestId, text, 'too-large');
    else this.#drop(operationOf(kind), text, 'too-large');
  }

  #request(message: RequestMessage): void {
    const { requestId, source, target } = message;
    const { maxRequestIdBytes } = this.#hub.options;
    if (requestId.length > maxRequestIdBytes)
      return this.#drop(
        'rpc',
        `a request id of ${requestId.length} characters, the most is ${maxRequestIdBytes}`,
        'invalid',
      );
    const question = aboutAgent('rpc', target);
    const denied = this.#deniedText(question);
    if (denied) return this.#refuse('rpc', requestId, denied.text, 'denied', denied);
    if (!isOwnSender(this.#client, source))
      return this.#refuse(
        'rpc',
        requestId,
        `denied: rpc as ${nameOf(source)}, which this worker has not registered`,
        'spoofed',
      );
    const nobody = this.#noTaker(target.type);
    if (nobody !== undefined) return this.#refuse('rpc', requestId, nobody, 'no-taker');
    let pending: Pending<Client>;
    try {
      pending = this.#hub.pending.open(this.#client, requestId, target.type);
    } catch (error) {
      if (!(error instanceof LockwireError)) throw error;
      return this.#refuse('rpc', requestId, messageOf(error), 'invalid');
    }
    const pieces = message.pieces(pending.id);
    const { up } = this.#hub.options.maxMessageBytes;
    if (lengthOf(pieces) > up) {
      this.#hub.pending.close(pending);
      return this.#refuse('rpc', requestId, tooLongText(lengthOf(pieces), up), 'too-large');
    }
    this.#ports.send({
      pieces,
      operation: 'rpc',
      pending,
      topicType: '',
      denied: () => this.#deniedText(question),
    });
  }

  #response(message: ResponseMessage): void {
    const { requestId } = message;
    const asked = this.#unanswered.get(requestId);
    if (asked === undefined) return this.#hub.count('respond', 'unasked');
    const denied = this.#deniedText(aboutAgent('respond', asked));
    if (denied) {
      this.#respondWith(requestId, denied.text, 'denied');
      return this.#hub.notice(this.#client, denied);
    }
    const pieces = message.pieces();
    const { up } = this.#hub.options.maxMessageBytes;
    if (lengthOf(pieces) > up)
      return this.#respondWith(requestId, tooLongText(lengthOf(pieces), up), 'too-large');
    this.#unanswered.answered(requestId);
    this.#hub.count('respond', 'passed');
    this.#ports.respond(pieces);
  }

  #event(message: EventMessage): void {
    const { topicType, topicSource, sender } = message;
    const question = aboutPublish(topicType, topicSource);
    const denied = this.#deniedText(question);
    if (denied) return this.#drop('publish', denied.text, 'denied', denied);
    if (!isOwnSender(this.#client, sender) && !this.#isNobody(sender))
      return this.#drop(
        'publish',
        `denied: publish as ${nameOf(sender)}, which this worker has not registered`,
        'spoofed',
      );
    const pieces = message.pieces();
    const { up } = this.#hub.options.maxMessageBytes;
    if (lengthOf(pieces) > up) return this.#drop('publish', tooLongText(lengthOf(pieces), up), 'too-large');
    this.#ports.send({
      pieces,
      operation: 'publish',
      pending: undefined,
      topicType,
      denied: () => this.#deniedText(question),
    });
  }

  /** What AutoGen's runtime writes where it has no sender: nobody's, as long as nobody is called so. */
  #isNobody(sender: EventMessage['sender']): boolean {
    return (
      sender?.type === 'unknown' &&
      sender.key === 'unknown' &&
      this.#hub.registry.ownerOf('unknown') === undefined
    );
  }

  /** The host never answers an RPC that it can't deliver: the gateway does, as far as it can know. */
  #noTaker(type: string): string | undefined {
    const owner = this.#hub.registry.ownerOf(type);
    const name = safeText(type, 128);
    if (owner === undefined)
      return this.#hub.options.exclusive || type === ''
        ? `no agent of type ${name} is registered`
        : undefined;
    return owner.connected ? undefined : `the worker that has agent type ${name} is not connected`;
  }

  #deniedText(question: Question): (CloseReason & { readonly decision: string }) | undefined {
    const decision = this.#client.decisions.ask(this.#call, question);
    if (decision.allow) return undefined;
    return { code: 'denied', text: denialText(question, decision), decision: decision.id };
  }

  #refuse(
    operation: 'rpc',
    requestId: string,
    text: string,
    fate: 'denied' | 'spoofed' | 'too-large' | 'no-taker' | 'invalid',
    reason?: CloseReason,
  ): void {
    this.#hub.count(operation, fate);
    this.#ports.answer(errorResponse(requestId, text));
    if (reason) this.#hub.notice(this.#client, reason);
  }

  /** The host waits for an answer to a request of its: it gets one that says why there is no other. */
  #respondWith(requestId: string, text: string, fate: 'denied' | 'too-large' | 'invalid'): void {
    if (!this.#unanswered.answered(requestId)) return this.#hub.count('respond', 'unasked');
    this.#hub.count('respond', fate);
    this.#ports.respond(errorResponse(requestId, text));
  }

  /** Nobody waits for an answer: it is counted, and the person at the other end hears of it. */
  #drop(
    operation: Operation,
    text: string,
    fate: 'denied' | 'spoofed' | 'too-large' | 'invalid',
    reason?: CloseReason,
  ): void {
    this.#hub.count(operation, fate);
    this.#hub.notice(this.#client, reason ?? { code: fate === 'spoofed' ? 'denied' : 'limit', text });
  }
}

function operationOf(kind: MessageHead['kind']): Operation {
  if (kind === 'request') return 'rpc';
  return kind === 'response' ? 'respond' : 'publish';
}

function nameOf(agent: { readonly type: string; readonly key: string } | undefined): string {
  return safeText(`${agent?.type ?? ''}/${agent?.key ?? ''}`, 128);
}
