import type { Clock, Timer } from '../core/clock.ts';
import type { ByteStream } from '../core/ports.ts';
import type { CloseReason } from '../core/session.ts';
import { httpAnswer } from '../wire/http-answer.ts';
import { HeldStream } from './held-stream.ts';
import { type GateOptions, gateDefaults } from './options.ts';

/** With what each client of HTTP/2 begins, before it has heard anything (RFC 9113 section 3.4). */
const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/** ContentType of a TLS handshake record (RFC 8446 section 5.1). */
const tlsHandshake = 0x16;

const answer = httpAnswer(
  '400 Bad Request',
  'This port is a Lockwire connect for a gRPC service. It takes gRPC only, not HTTP/1 and no web page.',
);

export type GateVerdict =
  | { readonly kind: 'passed' }
  /** Closed or half-closed before it said anything: a look whether somebody listens. */
  | { readonly kind: 'left' }
  | {
      readonly kind: 'refused';
      readonly reason: CloseReason;
      /** HTTP/1 was spoken: `turnAway` answers in it, which needs the stream to be taken up. */
      readonly http1: boolean;
    };

/**
 * Holds a client's stream until its first 24 bytes are HTTP/2's preface. A web page can have its browser connect to any
 * port of the machine, but what a browser says in plain begins with an HTTP/1 method or with a TLS record.
 *
 * ```
 *             the preface
 *   holding ──────────────▶ passed: `stream` is the client's, from its first byte
 *      │ other bytes, silence, the client's end
 *      ▼
 *   refused, left ── turnAway ──▶ the answer, then the end
 * ```
 */
export class PrefaceGate {
  readonly stream: HeldStream;
  /** Settles once, and never rejects. */
  readonly verdict: Promise<GateVerdict>;
  readonly #clock: Clock;
  readonly #options: GateOptions;
  readonly #settle: (verdict: GateVerdict) => void;
  readonly #first: Buffer = Buffer.alloc(preface.length);
  #firstBytes = 0;
  #judged = false;
  /** Of the preface; of the linger once the client is turned away. */
  #deadline: Timer;

  constructor(stream: ByteStream, clock: Clock, options: GateOptions = gateDefaults) {
    const { promise, resolve } = Promise.withResolvers<GateVerdict>();
    this.verdict = promise;
    this.#settle = resolve;
    this.#clock = clock;
    this.#options = options;
    const { prefaceTimeoutMs } = options;
    this.#deadline = clock.after(prefaceTimeoutMs, () =>
      this.#refuse(`nothing like gRPC within ${prefaceTimeoutMs} ms`, 'timeout'),
    );
    this.stream = new HeldStream(stream, {
      data: chunk => this.#data(chunk),
      end: () => this.#end(),
      closed: () => this.#closed(),
    });
  }

  /** Says in HTTP/1 what this port is, and ends the stream once the client has read it, or after the linger. */
  turnAway(reason: CloseReason): void {
    const { lingerMs, maxDroppedBytes } = this.#options;
    this.stream.turnAway(answer, maxDroppedBytes);
    this.#deadline = this.#clock.after(lingerMs, () => this.stream.reset(reason));
  }

  #data(chunk: Uint8Array): void {
    if (this.#judged) return;
    const wanted = Math.min(chunk.byteLength, preface.length - this.#firstBytes);
    this.#first.set(chunk.subarray(0, wanted), this.#firstBytes);
    this.#firstBytes += wanted;
    this.#look(this.#first.subarray(0, this.#firstBytes));
  }

  #look(first: Buffer): void {
    if (preface.subarray(0, first.length).equals(first)) {
      if (first.length === preface.length) this.#judge({ kind: 'passed' });
      return;
    }
    const text = first.toString('latin1');
    // A method is letters, and a space and a target follow it (RFC 9112 section 3): a path, `*`, a URL, or CONNECT's
    // HOST:PORT. What is not a request gets no answer in a protocol that its sender does not speak.
    if (/^(?:[A-Z]{3,20} [/*a-z]|CONNECT [^ ])/.test(text)) {
      return this.#refuse('HTTP/1 was spoken, and it takes gRPC only', 'protocol', true);
    }
    // The rest of it may be on its way.
    if (/^(?:[A-Z]{1,20}|[A-Z]{3,20} )$/.test(text)) return;
    const what =
      first[0] === tlsHandshake
        ? 'TLS was spoken to a port on loopback, which is plain: use an insecure channel there'
        : 'it takes gRPC only, whose first bytes are the preface of HTTP/2';
    this.#refuse(what, 'protocol');
  }

  #end(): void {
    if (this.#firstBytes === 0) this.#judge({ kind: 'left' });
    else this.#refuse('it ended before the preface of HTTP/2', 'protocol');
  }

  #closed(): void {
    this.#deadline.cancel();
    this.#judge({ kind: 'left' });
  }

  #refuse(text: string, code: 'protocol' | 'timeout', http1 = false): void {
    this.#judge({ kind: 'refused', reason: { code, text }, http1 });
  }

  #judge(verdict: GateVerdict): void {
    if (this.#judged) return;
    this.#judged = true;
    this.#deadline.cancel();
    this.#settle(verdict);
  }
}
