import type { Client } from './client.ts';
import type { Hub } from './hub.ts';
import { readMessageHead } from './message-head.ts';
import type { MessageSink, Skipped } from './message-reader.ts';
import {
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

  /** Throws LockwireError `protocol` on what is no message. */
  message(bytes: Uint8Array): void {
    const message = readMessage(bytes);
    if (message.kind === 'request') this.#request(message);
    else if (message.kind === 'response') this.#response(message);
    else if (message.kind === 'event') this.#event(message.encode());
  }

  skipped(head: Uint8Array, { length, limit }: Skipped): void {
    const { kind, requestId } = readMessageHead(head);
    const text = limit === undefined ? noRoomText(length) : tooLongText(length, limit);
    if (kind === 'request' && requestId !== undefined) this.#turnBack(requestId, text);
    else if (kind === 'response' && requestId !== undefined) this.#failOwn(requestId, text);
    else this.#drop(text);
  }

  #request(message: RequestMessage): void {
    const { requestId, target } = message;
    const { down } = this.#hub.options.maxMessageBytes;
    const pieces = message.encode();
    if (lengthOf(pieces) > down) return this.#turnBack(requestId, tooLongText(lengthOf(pieces), down));
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
    const pieces = message.encode(pending.requestId);
    if (lengthOf(pieces) > down) return this.#failOwn(message.requestId, tooLongText(lengthOf(pieces), down));
    this.#hub.pending.close(pending);
    this.#ports.deliver(pieces);
  }

  #event(pieces: Pieces): void {
    const { down } = this.#hub.options.maxMessageBytes;
    if (lengthOf(pieces) > down) return this.#drop(tooLongText(lengthOf(pieces), down));
    this.#ports.deliver(pieces);
  }

  /** The host has a caller that waits; the client never hears of the request. */
  #turnBack(requestId: string, text: string): void {
    this.#hub.count('rpc', 'too-large');
    this.#ports.respond(errorResponse(requestId, text));
  }

  #failOwn(id: string, text: string): void {
    const pending = this.#hub.pending.get(id);
    if (pending === undefined || pending.caller !== this.#client)
      return this.#hub.count('respond', 'unasked');
    this.#hub.count('respond', 'too-large');
    this.#hub.fail(pending, text);
  }

  #drop(text: string): void {
    this.#hub.count('publish', 'too-large');
    this.#hub.notice(this.#client, { code: 'limit', text: `an event was dropped: ${text}` });
  }
}
