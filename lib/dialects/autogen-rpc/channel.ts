import type { Timer } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import { OutputBuffer } from '../../core/output-buffer.ts';
import type { AcceptedCall, CallEvents, CallField } from '../../core/ports.ts';
import { GrpcError } from '../../wire/grpc/errors.ts';
import { GrpcStatus } from '../../wire/grpc/status.ts';
import { ErrorCode } from '../../wire/http2/frames.ts';
import type { Client, LiveChannel } from './client.ts';
import { Congestion } from './congestion.ts';
import { Downlink } from './downlink.ts';
import { stopLater } from './drain.ts';
import { endWith, responseHeaders, type Status } from './grpc-answer.ts';
import { HostSide } from './host-side.ts';
import type { Hub } from './hub.ts';
import { MessageReader } from './message-reader.ts';
import { errorResponse, type Pieces } from './messages.ts';
import type { BufferShare } from './options.ts';
import { Outbox } from './outbox.ts';
import { Debt, StreamWriter } from './stream-writer.ts';
import { Unanswered } from './unanswered.ts';
import { Uplink } from './uplink.ts';

/**
 * A client's OpenChannel: its own stream, which stays open, and the host's side of it, which may come and go.
 *
 * ```
 *   opening ──the host has a stream for it──▶ open ◀──reached anew──┐
 *      │ there is none                         │ the host is gone    │
 *      ▼                                       ▼                     │
 *   closed ◀──────the client is gone──────── reaching ───────────────┘
 * ```
 *
 * Credit: what a client sent is given back when the host has taken it, and the other way round, so that each side is as
 * slow as the slower one. A message that is not there as a whole yet lies in a budget of its own.
 */
export class Channel implements LiveChannel, CallEvents {
  readonly #hub: Hub;
  readonly #client: Client;
  readonly #call: AcceptedCall;
  readonly #share: BufferShare;
  readonly #writer: StreamWriter;
  readonly #debt: Debt;
  readonly #reader: MessageReader;
  readonly #unanswered: Unanswered;
  readonly #host: HostSide;
  readonly #outbox: Outbox;
  readonly #congestion: Congestion;
  /** The client's bytes while the first stream to the host is on its way: within its window. */
  #early: OutputBuffer | undefined = new OutputBuffer();
  #over = false;
  #clientEnded = false;
  #headersSent = false;
  #deadline: Timer | undefined;
  /** Those that take less than this client sends them: it is read no further. */
  readonly #slowedBy = new Set<LiveChannel>();

  constructor(hub: Hub, client: Client, call: AcceptedCall) {
    const { options, ports } = hub;
    this.#hub = hub;
    this.#client = client;
    this.#call = call;
    this.#share = ports.buffers.share(client.principal);
    this.#writer = new StreamWriter(call.stream);
    this.#debt = new Debt(call.stream);
    this.#unanswered = new Unanswered(options.unansweredRequests);
    this.#congestion = new Congestion(options, ports.clock, this.#writer, {
      stalled: () => this.#stalled(),
      changed: () => this.#noteTrouble(),
      eased: senders => {
        for (const sender of senders) sender.eased(this);
      },
    });
    this.#host = this.#hostSide();
    this.#outbox = this.#newOutbox();
    const uplink = new Uplink(hub, client, call, this.#unanswered, {
      answer: pieces => this.answer(pieces),
      send: message => this.#outbox.send(message),
      respond: pieces => this.#host.leg?.write(pieces),
    });
    // What is too long as it came may be short enough once its request id is ours.
    const slack = options.maxRequestIdBytes;
    this.#reader = new MessageReader(options.maxMessageBytes.up, slack, this.#share, uplink);
  }

  get reaching(): boolean {
    return this.#host.worthWaiting;
  }

  get stands(): boolean {
    return this.#host.ready;
  }

  get congested(): boolean {
    return this.#congestion.now;
  }

  get heldMessages(): number {
    return this.#outbox.heldMessages;
  }

  get heldBytes(): number {
    return this.#outbox.heldBytes;
  }

  get state(): string {
    return this.#host.state;
  }

  start(deadlineMs: number | undefined): void {
    this.#call.stream.start(this);
    if (deadlineMs !== undefined)
      this.#deadline = this.#hub.ports.clock.after(deadlineMs, () =>
        this.finish({
          code: GrpcStatus.deadlineExceeded,
          text: `grpc-timeout of ${deadlineMs} ms has run out`,
        }),
      );
    this.#noteTrouble();
    this.#host.start();
  }

  // What others want of it.

  answer(response: Pieces): void {
    if (this.#over) return;
    this.#sendHeaders();
    this.#writer.answer(response);
    this.#congestion.look();
  }

  whenEased(sender: LiveChannel): void {
    this.#congestion.tell(sender);
  }

  forgetSender(sender: LiveChannel): void {
    this.#congestion.forget(sender);
  }

  eased(other: LiveChannel): void {
    if (this.#slowedBy.delete(other)) this.#settle();
  }

  flush(): void {
    if (this.#over) return;
    this.#outbox.flush();
    if (this.#clientEnded && this.#early === undefined) this.#endReading();
    this.#settle();
  }

  prove(): void {
    this.#host.prove();
  }

  settled(callback: (stands: boolean) => void): void {
    this.#host.settled(callback);
  }

  reopen(text: string): void {
    this.#host.reopen(text);
  }

  finish(status: Status): void {
    if (this.#over) return;
    this.#release();
    const { stream } = this.#call;
    endWith(stream, status, this.#headersSent);
    this.#debt.settle(0);
    if (!this.#clientEnded) stopLater(stream, this.#hub.ports.clock, () => this.#clientEnded);
  }

  // The client's stream.

  headers(_fields: readonly CallField[], _endStream: boolean): void {}

  data(bytes: Uint8Array): void {
    if (this.#over) return this.#call.stream.consume(bytes.byteLength);
    this.#debt.received(bytes.byteLength);
    if (this.#early) this.#early.append(bytes);
    else this.#read(bytes);
  }

  /** It sends no more, but may still be sent to. */
  end(): void {
    this.#clientEnded = true;
    if (this.#over || this.#early) return;
    this.#endReading();
  }

  sent(bytes: number): void {
    if (this.#over) return;
    this.#writer.sent(bytes);
    this.#congestion.took();
    this.#settle();
  }

  closed(_cut: { readonly code: number; readonly text: string } | undefined): void {
    this.#clientEnded = true;
    if (!this.#over) this.#release();
  }

  // The host's side.

  #hostSide(): HostSide {
    const downlink = new Downlink(this.#hub, this.#client, this.#unanswered, {
      deliver: pieces => this.#deliver(pieces),
      respond: pieces => this.#host.leg?.answer(pieces),
    });
    return new HostSide(this.#hub, this.#client, this.#call, this.#share, {
      message: bytes => downlink.message(bytes),
      skipped: (head, why) => downlink.skipped(head, why),
      opened: () => this.#readEarly(),
      lost: () => this.#lost(),
      dropped: () => this.#failUnanswered(),
      reached: () => this.#reached(),
      givenUp: () => {
        this.#outbox.refuseAll(
          `the AutoGen host could not be reached within ${this.#hub.options.healForMs} ms`,
        );
        this.#hub.changed();
      },
      moved: () => this.#settle(),
      refused: status => this.finish(status),
    });
  }

  #newOutbox(): Outbox {
    const host = this.#host;
    return new Outbox(this.#hub, this.#client, {
      own: this,
      get ready(): boolean {
        return host.ready;
      },
      get worthWaiting(): boolean {
        return host.worthWaiting;
      },
      write: pieces => host.leg?.write(pieces),
      slowBy: other => this.#slowBy(other),
    });
  }

  #readEarly(): void {
    const early = this.#early;
    this.#early = undefined;
    for (const chunk of early?.take(early.byteLength) ?? []) if (!this.#over) this.#read(chunk);
    if (this.#clientEnded && !this.#over) this.#endReading();
  }

  #read(bytes: Uint8Array): void {
    try {
      this.#reader.push(bytes);
    } catch (error) {
      const code = error instanceof GrpcError ? error.status : GrpcStatus.internal;
      return this.finish({ code, text: messageOf(error) });
    }
    this.#settle();
  }

  #endReading(): void {
    if (!this.#reader.atBoundary)
      return this.finish({ code: GrpcStatus.internal, text: 'the stream ends within a message' });
    if (this.#host.ready && this.#outbox.heldMessages === 0) this.#host.leg?.endWriting();
  }

  #lost(): void {
    this.#noteTrouble();
    this.#failUnanswered();
    if (this.#clientEnded) this.finish({ code: GrpcStatus.unavailable, text: lostText });
  }

  /** At most once: nothing that the host may have had is sent again, and whoever waits for it hears so. */
  #failUnanswered(): void {
    this.#unanswered.clear();
    const own = this.#hub.pending.closeAll(p => p.caller === this.#client && p.written);
    for (const { requestId } of own) this.answer(errorResponse(requestId, lostText));
    this.#hub.failWrittenFor(this.#client, lostText);
  }

  #reached(): void {
    if (this.#over) return;
    this.#noteTrouble();
    this.#outbox.flush();
    if (this.#clientEnded) this.#endReading();
    this.#settle();
    this.#hub.changed();
    this.#hub.sweepLeft(this.#call);
  }

  #deliver(pieces: Pieces): void {
    if (this.#over) return;
    this.#sendHeaders();
    this.#writer.message(pieces);
    this.#congestion.look();
  }

  /** Not before there is something to say: until then the call may still be refused, and be tried again. */
  #sendHeaders(): void {
    if (this.#headersSent) return;
    this.#headersSent = true;
    this.#call.stream.sendHeaders(responseHeaders(), false);
  }

  #slowBy(other: LiveChannel): void {
    if (this.#slowedBy.has(other)) return;
    this.#slowedBy.add(other);
    other.whenEased(this);
  }

  /** Gives credit back, on both sides, for what does not lie with us any more. */
  #settle(): void {
    if (this.#over) return;
    const { leg } = this.#host;
    const waits = this.#early !== undefined || this.#slowedBy.size > 0;
    const lies = (leg?.unsentBytes ?? 0) + this.#writer.unsentAnswerBytes;
    this.#debt.settle(waits ? Number.POSITIVE_INFINITY : lies);
    leg?.settle(this.#writer.unsentBytes + leg.unsentAnswerBytes);
  }

  #noteTrouble(): void {
    if (!this.#over && (this.congested || !this.#host.ready)) this.#hub.troubled.add(this);
    else this.#hub.troubled.delete(this);
  }

  #stalled(): void {
    const { stallTimeoutMs } = this.#hub.options;
    const waiting = this.#writer.unsentBytes;
    this.finish({
      code: GrpcStatus.resourceExhausted,
      text: `took nothing of ${waiting} waiting bytes for ${stallTimeoutMs} ms`,
    });
    // What waits would keep the end from going out.
    this.#call.stream.reset(ErrorCode.cancel);
  }

  #release(): void {
    const client = this.#client;
    this.#over = true;
    this.#early = undefined;
    this.#deadline?.cancel();
    this.#outbox.close();
    this.#host.close();
    this.#reader.close();
    this.#share.leave();
    client.channel = undefined;
    client.epoch += 1;
    // What comes later is another: the host's cleanup after this one must not hit it.
    client.freshHostId();
    this.#hub.pending.closeAll(p => p.caller === client);
    this.#hub.failWrittenFor(client, 'the worker that was asked has gone');
    for (const other of this.#slowedBy) other.forgetSender(this);
    this.#slowedBy.clear();
    this.#congestion.close();
    this.#noteTrouble();
    this.#hub.clients.left(client);
    this.#hub.changed();
  }
}

const lostText = 'the connection to the AutoGen host was lost: whether the call was made is not known';
