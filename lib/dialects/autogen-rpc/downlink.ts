import { LockwireError, messageOf } from '../../core/errors.ts';
import type { Client } from './client.ts';
import type { Hub } from './hub.ts';
import { headBytes, readMessageHead } from './message-head.ts';
import type { MessageSink, Skipped } from './message-reader.ts';
import {
  type AgentMessage,
  errorResponse,
  lengthOf,
  type Pieces,
  type RequestMessage,
  type ResponseMessage,
  readMessage,
} from './messages.ts';
import { noRoomText, tooLongText } from './size-texts.ts';
import type { Unanswered } from './unanswered.ts';

export interface DownlinkPorts {
  /** Writes to the client. */
  deliver(pieces: Pieces): void;
  /** Answers the host in the client's stead. */
  respond(response: Pieces): void;
}

/** Why a message can't be delivered. */
type Unfit = 'too-large' | 'invalid';

/** The host's messages on their way to a client. */
export class Downlink implements MessageSink {
  readonly #hub: Hub;
  readonly #client: Client;
  readonly #unanswered: Unanswered;
  readonly #ports: DownlinkPorts;

  constructor(hub: Hub, client: Client, unanswered: Unanswered, ports: DownlinkPorts) {
    this.#hub = hub;
    this.#client = client;
    this.#unanswered = unanswered;
    this.#ports = ports;
  }

  message(bytes: Uint8Array): void {
    try {
      this.#message(readMessage(bytes));
    } catch (error) {
      if (!(error instanceof LockwireError)) throw error;
      this.#unfit(bytes.subarray(0, headBytes), `the message is malformed: ${messageOf(error)}`, 'invalid');
    }
  }

  #message(message: AgentMessage): void {
    if (message.kind === 'request') this.#request(message);
    else if (message.kind === 'response') this.#response(message);
    else if (message.kind === 'event') this.#event(message.pieces());
  }

  skipped(head: Uint8Array, { length, limit }: Skipped): void {
    this.#unfit(head, limit === undefined ? noRoomText(length) : tooLongText(length, limit), 'too-large');
  }

  /** Whoever waits for it, or for an answer to it, is told. */
  #unfit(head: Uint8Array, text: string, fate: Unfit): void {
    const { kind, requestId } = readMessageHead(head);
    if (kind === 'request' && requestId !== undefined) this.#turnBack(requestId, text, fate);
    else if (kind === 'response' && requestId !== undefined) this.#failOwn(requestId, text, fate);
    else this.#drop(text, fate);
  }

  #request(message: RequestMessage): void {
    const { requestId, target } = message;
    const { down } = this.#hub.options.maxMessageBytes;
    const pieces = message.pieces();
    if (lengthOf(pieces) > down)
      return this.#turnBack(requestId, tooLongText(lengthOf(pieces), down), 'too-large');
    this.#unanswered.add(requestId, target);
    const pending = this.#hub.pending.get(requestId);
    if (pending) pending.callee = this.#client;
    this.#ports.deliver(pieces);
  }

  /** Only what this very client asked: whatever else the host may mix up ends here. */
  #response(message: ResponseMessage): void {
    const pending = this.#hub.pending.get(message.requestId);
    if (pending === undefined || pending.caller !== this.#client)
      return this.#hub.count('respond', 'unasked');
    const { down } = this.#hub.options.maxMessageBytes;
    const pieces = message.pieces(pending.requestId);
    if (lengthOf(pieces) > down)
      return this.#failOwn(message.requestId, tooLongText(lengthOf(pieces), down), 'too-large');
    this.#hub.pending.close(pending);
    this.#ports.deliver(pieces);
  }

  #event(pieces: Pieces): void {
    const { down } = this.#hub.options.maxMessageBytes;
    if (lengthOf(pieces) > down) return this.#drop(tooLongText(lengthOf(pieces), down), 'too-large');
    this.#ports.deliver(pieces);
  }

  /** The host has a caller that waits; the client never hears of the request. */
  #turnBack(requestId: string, text: string, fate: Unfit): void {
    this.#hub.count('rpc', fate);
    this.#ports.respond(errorResponse(requestId, text));
  }

  #failOwn(id: string, text: string, fate: Unfit): void {
    const pending = this.#hub.pending.get(id);
    if (pending === undefined || pending.caller !== this.#client)
      return this.#hub.count('respond', 'unasked');
    this.#hub.count('respond', fate);
    this.#hub.fail(pending, text);
  }

  #drop(text: string, fate: Unfit): void {
    this.#hub.count('publish', fate);
    this.#hub.notice(this.#client, { code: 'limit', text: `an event was dropped: ${text}` });
  }
}
