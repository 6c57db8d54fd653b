import type { Clock, Timer } from '../core/clock.ts';
import { invariant } from '../core/errors.ts';
import type { ByteStream, StreamEvents } from '../core/ports.ts';
import type { CloseReason } from '../core/session.ts';
import { type GateOptions, gateDefaults } from './options.ts';

/** With what each client of HTTP/2 begins, before it has heard anything (RFC 9113 section 3.4). */
const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

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
 *             preface                    start
 *   holding ───────────▶ passed ─────────────────────▶ open: the stream itself
 *      │ other bytes, silence, the client's end
 *      ▼
 *   refused, left ── turnAway ──▶ the answer, then the end
 * ```
 *
 * What it holds is not given back, so it is bounded by the stream's own window.
 */
export class PrefaceGate implements ByteStream {
  /** Settles once, and never rejects. */
  readonly verdict: Promise<GateVerdict>;
  readonly #stream: ByteStream;
  readonly #clock: Clock;
  readonly #options: GateOptions;
  readonly #settle: (verdict: GateVerdict) => void;
  /** Of the preface; of the linger once the client is turned away. */
  #deadline: Timer;
  readonly #first = Buffer.alloc(preface.length);
  #firstBytes = 0;
  #judged: GateVerdict | undefined;
  /** What came before there was a reader. */
  #held: Uint8Array[] = [];
  #heldEnd = false;
  #heldClose: CloseReason | undefined;
  #events: StreamEvents | undefined;
  #turnedAway = false;
  #droppedBytes = 0;

  constructor(stream: ByteStream, clock: Clock, options: GateOptions = gateDefaults) {
    const { promise, resolve } = Promise.withResolvers<GateVerdict>();
    this.verdict = promise;
    this.#settle = resolve;
    this.#stream = stream;
    this.#clock = clock;
    this.#options = options;
    const { prefaceTimeoutMs } = options;
    this.#deadline = clock.after(prefaceTimeoutMs, () =>
      this.#refuse(`nothing like gRPC within ${prefaceTimeoutMs} ms`, 'timeout'),
    );
    stream.start({
      data: chunk => this.#data(chunk),
      end: () => this.#end(),
      flushed: bytes => this.#events?.flushed(bytes),
      closed: reason => this.#closed(reason),
    });
  }

  start(events: StreamEvents): void {
    invariant(this.#judged?.kind === 'passed' && !this.#events, 'a gate that passed is started once');
    this.#events = events;
    const held = this.#held;
    this.#held = [];
    // The reader may reset the stream in each call; then its close is the last that it hears.
    for (const chunk of held) if (!this.#heldClose) events.data(chunk);
    if (this.#heldEnd && !this.#heldClose) events.end();
    if (this.#heldClose) events.closed(this.#heldClose);
  }

  write(chunk: Uint8Array): void {
    this.#stream.write(chunk);
  }

  end(): void {
    this.#stream.end();
  }

  reset(reason: CloseReason): void {
    this.#stream.reset(reason);
  }

  consume(bytes: number): void {
    this.#stream.consume(bytes);
  }

  /** Says in HTTP/1 what this port is, and ends the stream once the client has read it, or after the linger. */
  turnAway(reason: CloseReason): void {
    this.#turnedAway = true;
    for (const chunk of this.#held) this.#drop(chunk);
    this.#held = [];
    this.#stream.write(Buffer.from(answer, 'latin1'));
    this.#stream.end();
    // A reset at once would overtake the answer on its way through the client's kernel.
    this.#deadline = this.#clock.after(this.#options.lingerMs, () => this.#stream.reset(reason));
  }

  #data(chunk: Uint8Array): void {
    if (this.#events) return this.#events.data(chunk);
    if (this.#turnedAway) return this.#drop(chunk);
    this.#held.push(chunk);
    if (this.#judged) return;
    const wanted = Math.min(chunk.byteLength, preface.length - this.#firstBytes);
    this.#first.set(chunk.subarray(0, wanted), this.#firstBytes);
    this.#firstBytes += wanted;
    this.#look();
  }

  #look(): void {
    const first = this.#first.subarray(0, this.#firstBytes);
    if (preface.subarray(0, first.length).equals(first)) {
      if (first.length === preface.length) this.#judge({ kind: 'passed' });
      return;
    }
    const text = first.toString('latin1');
    // A method is letters and a space follows it (RFC 9112 section 3); the rest of it may be on its way.
    if (/^[A-Z]{3,20} /.test(text))
      return this.#refuse('HTTP/1 was spoken, and it takes gRPC only', 'protocol', true);
    if (/^[A-Z]{1,20}$/.test(text)) return;
    this.#refuse(
      first[0] === tlsHandshake
        ? 'TLS was spoken to a port on loopback, which is plain: use an insecure channel there'
        : 'it takes gRPC only, whose first bytes are the preface of HTTP/2',
      'protocol',
    );
  }

  #end(): void {
    if (this.#events) return this.#events.end();
    this.#heldEnd = true;
    if (this.#judged || this.#turnedAway) return;
    if (this.#firstBytes === 0) this.#judge({ kind: 'left' });
    else this.#refuse('it ended before the preface of HTTP/2', 'protocol');
  }

  #closed(reason: CloseReason): void {
    this.#deadline.cancel();
    this.#heldClose = reason;
    this.#held = [];
    if (this.#events) this.#events.closed(reason);
    else this.#judge({ kind: 'left' });
  }

  #refuse(what: string, code: 'protocol' | 'timeout', http1 = false): void {
    this.#judge({ kind: 'refused', reason: { code, text: what }, http1 });
  }

  #judge(verdict: GateVerdict): void {
    if (this.#judged) return;
    this.#judged = verdict;
    this.#deadline.cancel();
    this.#settle(verdict);
  }

  /** Reads on, so that the client is not stuck in its own writing and gets to the answer; but not for ever. */
  #drop(chunk: Uint8Array): void {
    this.#droppedBytes += chunk.byteLength;
    if (this.#droppedBytes <= this.#options.maxDroppedBytes) this.#stream.consume(chunk.byteLength);
  }
}

/** ContentType of a TLS handshake record (RFC 8446 section 5.1). */
const tlsHandshake = 0x16;

const body =
  'This port is a Lockwire connect for a gRPC service. It takes gRPC only, not HTTP/1 and no web page.\n';
/** Without a header that would let a page read it. */
const answer = [
  'HTTP/1.1 400 Bad Request',
  'Content-Type: text/plain; charset=utf-8',
  'X-Content-Type-Options: nosniff',
  'Cache-Control: no-store',
  `Content-Length: ${body.length}`,
  'Connection: close',
  '',
  body,
].join('\r\n');
