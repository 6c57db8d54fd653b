import type { Clock, Timer } from '../core/clock.ts';
import type { ByteStream } from '../core/ports.ts';
import type { CloseReason } from '../core/session.ts';
import { type ConnectRequest, maxConnectHeadBytes, parseConnectRequest } from '../wire/connect-request.ts';
import { httpAnswer } from '../wire/http-answer.ts';
import { HeldStream } from './held-stream.ts';
import { type GateOptions, gateDefaults } from './options.ts';

export type Asked =
  | Exclude<ConnectRequest, { kind: 'partial' }>
  /** Closed before it asked for anything. */
  | { readonly kind: 'left' };

/**
 * Reads one CONNECT request off a client's stream. After `establish`, `stream` is the client's, from the first byte
 * behind the request's head.
 */
export class ConnectGate {
  readonly stream: HeldStream;
  /** Settles once, and never rejects. */
  readonly asked: Promise<Asked>;
  readonly #clock: Clock;
  readonly #options: GateOptions;
  readonly #settle: (asked: Asked) => void;
  #head: Buffer = Buffer.alloc(0);
  #judged = false;
  #headBytes = 0;
  #deadline: Timer;

  constructor(stream: ByteStream, clock: Clock, options: GateOptions = gateDefaults) {
    const { promise, resolve } = Promise.withResolvers<Asked>();
    this.asked = promise;
    this.#settle = resolve;
    this.#clock = clock;
    this.#options = options;
    this.#deadline = clock.after(options.prefaceTimeoutMs, () => {
      const text = `no request within ${options.prefaceTimeoutMs} ms`;
      this.#judge({ kind: 'refused', status: '408 Request Timeout', text });
    });
    this.stream = new HeldStream(stream, {
      data: chunk => this.#data(chunk),
      end: () => this.#end(),
      closed: () => this.#closed(),
    });
  }

  /** Says that the way is open. At once, not when the target has answered: that waits for the client's first bytes. */
  establish(): void {
    this.stream.take(this.#headBytes);
    // RFC 9110 section 9.3.6: no Content-Length and no Transfer-Encoding here.
    this.stream.say('HTTP/1.1 200 Connection established\r\n\r\n');
  }

  refuse(status: string, text: string, reason: CloseReason): void {
    const { lingerMs, maxDroppedBytes } = this.#options;
    const headers = status.startsWith('405') ? ['Allow: CONNECT'] : [];
    this.stream.turnAway(httpAnswer(status, text, headers), maxDroppedBytes);
    this.#deadline = this.#clock.after(lingerMs, () => this.stream.reset(reason));
  }

  #data(chunk: Uint8Array): void {
    if (this.#judged) return;
    const room = maxConnectHeadBytes - this.#head.length;
    this.#head = Buffer.concat([this.#head, chunk.subarray(0, room)]);
    const found = parseConnectRequest(this.#head);
    if (found.kind === 'partial') return;
    if (found.kind === 'connect') this.#headBytes = found.headBytes;
    this.#judge(found);
  }

  #end(): void {
    if (this.#head.length === 0) this.#judge({ kind: 'left' });
    else
      this.#judge({ kind: 'refused', status: '400 Bad Request', text: 'the request ended before its head' });
  }

  #closed(): void {
    this.#deadline.cancel();
    this.#judge({ kind: 'left' });
  }

  #judge(asked: Asked): void {
    if (this.#judged) return;
    this.#judged = true;
    this.#deadline.cancel();
    // It may hold a Proxy-Authorization.
    this.#head = Buffer.alloc(0);
    this.#settle(asked);
  }
}
