import type { Clock, Timer } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import type { ByteStream } from '../../core/ports.ts';
import { type CloseReason, done } from '../../core/session.ts';
import { type HeaderBlock, HpackDecoder, HpackError } from '../../wire/hpack/decoder.ts';
import { FrameDecoder, type FrameSink } from '../../wire/http2/decode.ts';
import {
  goawayFrame,
  pingFrame,
  rstStreamFrame,
  settingsAck,
  settingsFrame,
  windowUpdateFrame,
} from '../../wire/http2/encode.ts';
import { Http2Error } from '../../wire/http2/errors.ts';
import { ErrorCode, errorName, maxWindowBytes, preface, SettingId } from '../../wire/http2/frames.ts';
import { FloodGuard } from './flood-guard.ts';
import { FrameWriter } from './frame-writer.ts';
import type { HeldShare } from './held-budget.ts';
import { Keepalive, type KeepaliveHost } from './keepalive.ts';
import type { FloodLimits, Http2Limits } from './options.ts';
import type { GrowthPool } from './receive-window.ts';
import { RecentResets } from './recent-resets.ts';
import { ownSettings, PeerSettings } from './settings.ts';
import { Http2Stream, type StreamCut, type StreamHandler, type StreamHost } from './stream.ts';

export interface ConnectionPorts {
  readonly clock: Clock;
  readonly limits: Http2Limits;
  readonly pool: GrowthPool;
  readonly held: HeldShare;
  /**
   * Whether a silent peer is sent PINGs, and ended where it answers none. Not where a tunnel carries it, which has its own
   * and outlives a lost network; and no client, whose library may read only when its program does: TCP asks its kernel.
   */
  readonly probed?: boolean;
}

/** Whoever a connection belongs to. */
export interface ConnectionOwner {
  /** A server's: a request begins. Its handler is set before this returns; with `endStream` its `end` follows. */
  request(stream: Http2Stream, block: HeaderBlock, endStream: boolean): void;
  /** Room for streams may have changed, or there is none any more. */
  changed(): void;
  /** The last call, exactly once. */
  closed(reason: CloseReason): void;
}

/** Until its owner has set another; a stream whose owner forgot to would be answered nothing. */
const nobody: StreamHandler = { headers() {}, data() {}, end() {}, sent() {}, done() {}, cut() {} };

/** After this id a client has none left (RFC 9113 section 5.1.1). */
const lastStreamId = 0x7fffffff;

/** What the PINGs of a keepalive carry: 8 B. */
const keepaliveBytes = Buffer.from('lockwire');

/** A WINDOW_UPDATE by less has to be paid for: it can make us send a frame for each byte (CVE-2019-9511). */
const smallIncrement = 1_024;

/**
 * One HTTP/2 connection (RFC 9113) over any byte stream, either end of it.
 *
 * ```
 *   open ── goAway ──▶ draining ── last stream over ──▶ ending ── flushed, or lingerMs ──▶ closed
 *     └──── a fault of the peer's, close ────────────────▲
 *     └──── the byte stream's end ──────────────────────────────────────────────────────────▲
 * ```
 */
export class Http2Connection implements FrameSink, StreamHost, KeepaliveHost {
  readonly role: 'server' | 'client';
  readonly limits: Http2Limits;
  readonly pool: GrowthPool;
  readonly writer: FrameWriter;
  readonly peer: PeerSettings = new PeerSettings();
  readonly #stream: ByteStream;
  readonly #clock: Clock;
  readonly #held: HeldShare;
  readonly #owner: ConnectionOwner;
  readonly #decoder: FrameDecoder;
  readonly #hpack: HpackDecoder;
  readonly #guard: FloodGuard;
  readonly #resets: RecentResets;
  readonly #keepalive: Keepalive | undefined;
  readonly #streams = new Map<number, Http2Stream>();
  #state: 'open' | 'draining' | 'ending' | 'closed' = 'open';
  #prefaceBytes = 0;
  #greeted = false;
  /** The server's SETTINGS came before our preface, and wait for their acknowledgement. */
  #owesAck = false;
  #wide = false;
  #settingsSeen = false;
  /** SETTINGS_INITIAL_WINDOW_SIZE as the frame that is being read says it last. */
  #announcedWindow = 65_535;
  /** Highest stream that the peer has begun, and the highest that was looked at: a GOAWAY names this one. */
  #lastPeerStream = 0;
  #lastServed = 0;
  #nextStream = 1;
  /** Of the peer's GOAWAY: streams of ours above it were never looked at. */
  #peerGone = false;
  /** What the peer may send on the connection, and what of it is not yet announced. */
  #receiveWindow = 65_535;
  #unannounced = 0;
  /** The stream of the DATA frame that is being read; undefined where its bytes are dropped. */
  #dataStream: Http2Stream | undefined;
  #dataLeft = 0;
  #dataEnds = false;
  /** No byte of it has come, and padding is none. */
  #dataBare = false;
  /** DATA that came with bytes, and header sections that came. */
  #usefulFrames = 0;
  #headerBlocks = 0;
  #settingsSentMs = 0;
  #roundTripMs = 0;
  #settingsTimer: Timer | undefined;
  #frameTimer: Timer | undefined;
  /** Since when a frame other than DATA is not whole; 0 where none is. */
  #partialSinceMs = 0;
  #lingerTimer: Timer | undefined;
  /** Streams of ours that were reset a moment ago. */
  #cooling = 0;
  #coolTimer: Timer | undefined;
  #reason: CloseReason | undefined;
  #bytesIn = 0;
  #bytesOut = 0;

  constructor(role: 'server' | 'client', stream: ByteStream, owner: ConnectionOwner, ports: ConnectionPorts) {
    const { clock, limits, pool, held, probed } = ports;
    this.role = role;
    this.limits = limits;
    this.pool = pool;
    this.#held = held;
    this.#stream = stream;
    this.#clock = clock;
    this.#owner = owner;
    this.writer = new FrameWriter(stream, limits.outputMarkBytes);
    this.#decoder = new FrameDecoder(this, limits.frames);
    this.#hpack = new HpackDecoder(limits.headers);
    this.#guard = new FloodGuard(clock, limits.flood, () => this.#useful());
    this.#resets = new RecentResets(limits.maxRememberedResets);
    if (probed === true) this.#keepalive = new Keepalive(clock, this);
  }

  get streamCount(): number {
    return this.#streams.size;
  }

  get bytesIn(): number {
    return this.#bytesIn;
  }

  get bytesOut(): number {
    return this.#bytesOut;
  }

  get framesIn(): number {
    return this.#usefulFrames + this.#headerBlocks;
  }

  get framesOut(): number {
    return this.writer.usefulFrames + this.writer.headerBlocks;
  }

  get unflushedBytes(): number {
    return this.writer.unflushedBytes;
  }

  get roundTripMs(): number {
    return this.#roundTripMs;
  }

  /** Whether a client may open another stream now. */
  get hasRoom(): boolean {
    const streams = this.#streams.size + this.#cooling;
    return this.usable && streams < this.peer.maxConcurrentStreams && this.#takesRequests;
  }

  /** A request goes out at once or not at all: what is not flushed then stays below what a peer is turned away for. */
  get #takesRequests(): boolean {
    return this.writer.unflushedBytes * 2 < this.limits.maxOutputBytes;
  }

  /** Whether it ever will. */
  get usable(): boolean {
    return this.#state === 'open' && !this.#peerGone && this.#nextStream <= lastStreamId;
  }

  nowMs(): number {
    return this.#clock.monotonic();
  }

  /** A client says nothing before its first stream: a connection that is only looked at costs the server no byte. */
  start(): void {
    if (this.role === 'server') {
      this.#greet();
      this.#beginPartial();
    }
    this.#stream.start({
      data: chunk => this.#received(chunk),
      end: () => this.#peerEnded(),
      flushed: bytes => this.#flushed(bytes),
      closed: reason => this.#closed(reason),
    });
  }

  #greet(): void {
    const { limits } = this;
    this.#greeted = true;
    if (this.role === 'client') this.writer.control(preface);
    this.writer.control(settingsFrame(ownSettings(this.role, limits)));
    if (this.#owesAck) this.writer.control(settingsAck());
    if (this.role === 'client') this.widen();
    this.#settingsSentMs = this.nowMs();
    this.#settingsTimer = this.#clock.after(limits.settingsTimeoutMs, () =>
      this.#fail(
        ErrorCode.settingsTimeout,
        `SETTINGS not acknowledged within ${limits.settingsTimeoutMs} ms`,
      ),
    );
  }

  /** The connection's window from the protocol's 65,535 B to ours; until then nothing of it is given back. Idempotent. */
  widen(): void {
    if (this.#wide) return;
    this.#wide = true;
    const more = this.limits.connectionWindowBytes - this.#receiveWindow;
    if (more <= 0) return;
    this.writer.control(windowUpdateFrame(0, more));
    this.#receiveWindow += more;
    this.#unannounced = 0;
  }

  /** A client's next stream; the caller has looked at `hasRoom`, and begins it at once. What waits in it counts as `held`. */
  open(handler: StreamHandler, held: HeldShare): Http2Stream {
    if (!this.#greeted) this.#greet();
    this.#keepalive?.asked();
    const stream = new Http2Stream(this, this.#nextStream, this.peer.initialWindowBytes, handler, held);
    this.#nextStream += 2;
    this.#streams.set(stream.id, stream);
    return stream;
  }

  /** No new streams; those that live run on, then the connection ends. */
  goAway(text: string): void {
    if (this.#state !== 'open') return;
    this.#state = 'draining';
    if (this.#greeted) this.writer.control(goawayFrame(this.#lastServed, ErrorCode.noError, text));
    this.#owner.changed();
    this.#endIfDrained();
  }

  /** Ends it and what lives on it. The owner has told its streams what it wants them to say. */
  close(reason: CloseReason): void {
    this.#end(ErrorCode.noError, reason);
  }

  // The byte stream.

  #received(chunk: Uint8Array): void {
    this.#bytesIn += chunk.byteLength;
    this.#keepalive?.heard();
    if (this.#state !== 'ending' && this.#state !== 'closed') {
      try {
        const rest =
          this.role === 'server' && this.#prefaceBytes < preface.length ? this.#readPreface(chunk) : chunk;
        if (rest.byteLength > 0) this.#decoder.push(rest);
        this.#watchFrame();
      } catch (error) {
        this.#failed(error);
      }
      if (this.writer.unflushedBytes > this.limits.maxOutputBytes) this.#unread();
    }
    // Given back at once: what is kept of it is bounded by the windows of its streams.
    this.#stream.consume(chunk.byteLength);
  }

  #readPreface(chunk: Uint8Array): Uint8Array {
    const wanted = Math.min(chunk.byteLength, preface.length - this.#prefaceBytes);
    for (let i = 0; i < wanted; i += 1) {
      if (chunk[i] !== preface[this.#prefaceBytes + i])
        throw new Http2Error(ErrorCode.protocolError, 'no HTTP/2 preface');
    }
    this.#prefaceBytes += wanted;
    return chunk.subarray(wanted);
  }

  #failed(error: unknown): void {
    if (error instanceof Http2Error) return this.#fail(error.errorCode, error.message);
    if (error instanceof HpackError) return this.#fail(ErrorCode.compressionError, error.message);
    this.#fail(ErrorCode.internalError, `internal error: ${messageOf(error)}`);
  }

  /** Nothing that we say is read: its answers would pile up. */
  #unread(): void {
    const { maxOutputBytes } = this.limits;
    this.#fail(ErrorCode.enhanceYourCalm, `over ${maxOutputBytes} B are not read`);
    this.#stream.reset({ code: 'limit', text: `over ${maxOutputBytes} B are not read by the peer` });
  }

  #flushed(bytes: number): void {
    this.#bytesOut += bytes;
    const full = !this.#takesRequests;
    this.writer.flushed(bytes);
    this.#keepalive?.flushed(bytes);
    if (full && this.#takesRequests) this.#owner.changed();
  }

  #peerEnded(): void {
    if (this.#state === 'ending' || this.#state === 'closed') return this.#stream.end();
    const clean = this.#streams.size === 0 && this.#decoder.atBoundary;
    this.#end(ErrorCode.noError, clean ? done : { code: 'io', text: 'the peer closed the connection' });
  }

  #closed(reason: CloseReason): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#settingsTimer?.cancel();
    this.#frameTimer?.cancel();
    this.#lingerTimer?.cancel();
    this.#coolTimer?.cancel();
    this.#keepalive?.close();
    this.writer.stop();
    this.#abandonAll({ code: ErrorCode.cancel, text: reason.text || 'the connection was closed' });
    this.#owner.closed(this.#reason ?? reason);
  }

  /** A frame that is begun and never ends would hold its buffer for good; DATA is passed on as it comes. */
  #watchFrame(): void {
    if (this.role === 'server' && this.#prefaceBytes < preface.length) return;
    if (this.#decoder.inData || this.#decoder.atBoundary) this.#partialSinceMs = 0;
    else if (this.#partialSinceMs === 0) this.#beginPartial();
  }

  #beginPartial(): void {
    this.#partialSinceMs = this.nowMs();
    this.#frameTimer ??= this.#clock.after(this.limits.frameTimeoutMs, () => this.#lookAtFrame());
  }

  #lookAtFrame(): void {
    this.#frameTimer = undefined;
    if (this.#partialSinceMs === 0) return;
    const leftMs = this.#partialSinceMs + this.limits.frameTimeoutMs - this.nowMs();
    if (leftMs > 0) this.#frameTimer = this.#clock.after(leftMs, () => this.#lookAtFrame());
    else this.#fail(ErrorCode.enhanceYourCalm, `a frame took over ${this.limits.frameTimeoutMs} ms`);
  }

  // Frames (FrameSink).

  dataBegin(streamId: number, flowBytes: number, endStream: boolean): void {
    this.#firstIsSettings();
    this.#receiveWindow -= flowBytes;
    if (this.#receiveWindow < 0)
      throw new Http2Error(ErrorCode.flowControlError, 'DATA beyond the connection’s window');
    this.#giveBack(flowBytes);
    const stream = this.#find(streamId, 'DATA');
    this.#dataStream = stream;
    this.#dataLeft = flowBytes;
    this.#dataEnds = endStream;
    this.#dataBare = true;
    if (stream === undefined) return;
    if (stream.peerEnded)
      this.#refuseStream(stream, ErrorCode.streamClosed, 'DATA after the end of the stream');
    else if (!stream.receiveFlow(flowBytes))
      this.#refuseStream(stream, ErrorCode.flowControlError, 'DATA beyond the stream’s window');
    else return;
    this.#dataStream = undefined;
  }

  dataBytes(_streamId: number, bytes: Uint8Array): void {
    const { byteLength } = bytes;
    this.#usefulFrames += 1;
    this.#dataLeft -= byteLength;
    this.#dataBare = false;
    const stream = this.#dataStream;
    // Its handler may have ended it at an earlier part of the frame.
    if (stream === undefined || stream.closed) return;
    // Without padding the last bytes are known as such, and can carry the end with them.
    stream.handler.data(bytes, this.#dataEnds && this.#dataLeft === 0);
  }

  dataEnd(_streamId: number, endStream: boolean): void {
    const stream = this.#dataStream;
    this.#dataStream = undefined;
    if (this.#dataBare && !endStream) this.#spend('idleFrames', 'DATA without a byte');
    if (stream === undefined) return;
    // Padding counts as if it had been taken at once.
    if (this.#dataLeft > 0) stream.consume(this.#dataLeft);
    if (endStream) stream.receiveEnd();
  }

  headers(streamId: number, block: Uint8Array, endStream: boolean, dependsOn: number): void {
    this.#firstIsSettings();
    this.#headerBlocks += 1;
    // Always decoded: the table must stay in step with the peer's.
    const decoded = this.#hpack.decode(block);
    const stream = this.#streams.get(streamId);
    if (stream === undefined) return this.#headersOfNew(streamId, decoded, endStream, dependsOn);
    if (dependsOn === streamId)
      return this.#refuseStream(stream, ErrorCode.protocolError, 'the stream depends on itself');
    if (stream.peerEnded)
      return this.#refuseStream(stream, ErrorCode.streamClosed, 'HEADERS after the end of the stream');
    stream.receiveHeaders(decoded, endStream);
  }

  priority(_streamId: number, _dependsOn: number): void {
    this.#firstIsSettings();
    this.#spend('idleFrames', 'PRIORITY');
  }

  resetStream(streamId: number, errorCode: number): void {
    this.#firstIsSettings();
    if (this.role === 'server') this.#spend('resets', 'RST_STREAM');
    this.#find(streamId, 'RST_STREAM')?.receiveReset(errorCode);
  }

  setting(id: number, value: number): void {
    this.#settingsSeen = true;
    switch (id) {
      case SettingId.enablePush:
        // RFC 9113 section 6.5.2: a server's may only be 0.
        if (value === 1 && this.role === 'client')
          throw new Http2Error(ErrorCode.protocolError, 'a server that enables push');
        return;
      case SettingId.headerTableSize:
        return this.writer.encoder.setPeerTableBytes(value);
      case SettingId.initialWindowSize:
        this.#announcedWindow = value;
        return;
      case SettingId.maxFrameSize:
        this.writer.maxFrameBytes = value;
        return;
      case SettingId.maxConcurrentStreams:
        return this.peer.limitStreams(value);
      case SettingId.maxHeaderListSize:
        this.writer.maxListBytes = value;
    }
  }

  settingsEnd(): void {
    this.#settingsSeen = true;
    this.#partialSinceMs = 0;
    this.#applyWindow();
    this.peer.arrived();
    this.#spend('idleFrames', 'SETTINGS');
    this.#acknowledge();
    this.writer.pump();
    this.#owner.changed();
  }

  /** Nothing of ours goes before our preface (RFC 9113 section 3.4), and a server need not wait for that. */
  #acknowledge(): void {
    if (!this.#greeted && !this.#owesAck) {
      this.#owesAck = true;
      return;
    }
    if (!this.#greeted) this.#greet();
    this.writer.control(settingsAck());
  }

  settingsAck(): void {
    this.#firstIsSettings();
    if (this.#settingsTimer === undefined) return this.#spend('idleFrames', 'SETTINGS');
    this.#settingsTimer.cancel();
    this.#settingsTimer = undefined;
    this.#roundTripMs = this.nowMs() - this.#settingsSentMs;
  }

  ping(opaque: Uint8Array, ack: boolean): void {
    this.#firstIsSettings();
    this.#spend('idleFrames', 'PING');
    if (ack) return;
    if (!this.#greeted) this.#greet();
    this.writer.control(pingFrame(opaque, true));
  }

  goaway(lastStreamId: number, errorCode: number, _debug: Uint8Array): void {
    this.#firstIsSettings();
    this.#spend('idleFrames', 'GOAWAY');
    this.#peerGone = true;
    if (this.role === 'client') {
      const text = `the server is going away (${errorName(errorCode)})`;
      // Never looked at, so it may be tried again elsewhere (RFC 9113 section 6.8).
      for (const stream of [...this.#streams.values()])
        if (stream.id > lastStreamId) stream.abandon({ code: ErrorCode.refusedStream, text });
    }
    this.#owner.changed();
    if (this.#streams.size === 0) this.#end(ErrorCode.noError, done);
  }

  windowUpdate(streamId: number, increment: number): void {
    this.#firstIsSettings();
    if (increment < smallIncrement) this.#spend('idleFrames', 'small WINDOW_UPDATEs');
    if (streamId === 0) return this.#widen(increment);
    const stream = this.#find(streamId, 'WINDOW_UPDATE');
    if (increment === 0) return this.streamError(streamId, ErrorCode.protocolError, 'WINDOW_UPDATE of 0');
    if (stream === undefined) return;
    if (!stream.widen(increment))
      return this.#refuseStream(stream, ErrorCode.flowControlError, `a window over ${maxWindowBytes} B`);
    this.writer.pump();
  }

  pushPromise(_streamId: number): void {
    throw new Http2Error(ErrorCode.protocolError, 'PUSH_PROMISE, which is switched off');
  }

  unknown(_type: number, _streamId: number): void {
    this.#firstIsSettings();
    this.#spend('idleFrames', 'frames of unknown types');
  }

  streamError(streamId: number, errorCode: number, text: string): void {
    const stream = this.#streams.get(streamId);
    if (stream) return this.#refuseStream(stream, errorCode, text);
    this.#spend('resets', text);
    if (streamId > this.#lastPeerStream && this.role === 'server') this.#lastPeerStream = streamId;
    this.writer.control(rstStreamFrame(streamId, errorCode));
  }

  // KeepaliveHost.

  sendPing(): void {
    this.writer.control(pingFrame(keepaliveBytes, false));
  }

  silent(text: string): void {
    this.#end(ErrorCode.noError, { code: 'unavailable', text });
  }

  // StreamHost.

  blame(text: string): void {
    if (!this.#guard.allows('resets')) this.#fail(ErrorCode.enhanceYourCalm, this.#tooMany('resets', text));
  }

  gone(stream: Http2Stream, ours: boolean): void {
    this.#streams.delete(stream.id);
    if (ours) this.#resets.add(stream.id);
    if (ours && this.role === 'client') this.#cool();
    if (this.role === 'client') this.#owner.changed();
    this.#endIfDrained();
  }

  // Parts.

  #headersOfNew(streamId: number, block: HeaderBlock, endStream: boolean, dependsOn: number): void {
    if (this.role === 'client') return void this.#find(streamId, 'HEADERS');
    if (streamId % 2 === 0)
      throw new Http2Error(ErrorCode.protocolError, `stream ${streamId} was not opened by us`);
    if (streamId <= this.#lastPeerStream) return void this.#find(streamId, 'HEADERS');
    this.#lastPeerStream = streamId;
    // Behind our GOAWAY; what follows on it was on its way too.
    if (this.#state !== 'open') return this.#turnAway(streamId);
    this.#lastServed = streamId;
    if (dependsOn === streamId)
      return this.streamError(streamId, ErrorCode.protocolError, 'the stream depends on itself');
    if (this.#streams.size >= this.limits.maxConcurrentStreams) return this.#turnAway(streamId);
    const stream = new Http2Stream(this, streamId, this.peer.initialWindowBytes, nobody, this.#held);
    this.#streams.set(streamId, stream);
    this.#owner.request(stream, block, endStream);
    if (endStream) stream.receiveEnd();
  }

  /** Not looked at, so the client may try it again (RFC 9113 section 8.7). */
  #turnAway(streamId: number): void {
    this.#spend('resets', 'streams beyond the limit');
    this.#resets.add(streamId);
    this.writer.control(rstStreamFrame(streamId, ErrorCode.refusedStream));
  }

  /** The stream of a frame; undefined where it is closed and the frame may still have been on its way. */
  #find(streamId: number, what: string): Http2Stream | undefined {
    const stream = this.#streams.get(streamId);
    if (stream !== undefined) return stream;
    const ours = this.role === 'client' ? streamId % 2 === 1 : streamId % 2 === 0;
    const begun = ours
      ? streamId < this.#nextStream && this.role === 'client'
      : streamId <= this.#lastPeerStream;
    // Idle (RFC 9113 section 5.1).
    if (!begun) throw new Http2Error(ErrorCode.protocolError, `${what} on idle stream ${streamId}`);
    // A server answers for what one client has reset: the others on this connection must not pay for it.
    if (this.role === 'client' && this.#resets.has(streamId)) return undefined;
    if (
      this.role === 'client' ||
      this.#resets.has(streamId) ||
      what === 'WINDOW_UPDATE' ||
      what === 'RST_STREAM'
    ) {
      this.#spend('idleFrames', `${what} on closed streams`);
      return undefined;
    }
    throw new Http2Error(ErrorCode.streamClosed, `${what} on closed stream ${streamId}`);
  }

  #refuseStream(stream: Http2Stream, errorCode: number, text: string): void {
    this.#spend('resets', text);
    stream.reset(errorCode, text);
  }

  /** Once a frame, however often it says so: each change is a walk over all streams. */
  #applyWindow(): void {
    const change = this.#announcedWindow - this.peer.initialWindowBytes;
    if (change === 0) return;
    this.peer.initialWindowBytes = this.#announcedWindow;
    for (const stream of this.#streams.values())
      if (!stream.widen(change))
        throw new Http2Error(ErrorCode.flowControlError, `a window over ${maxWindowBytes} B`);
  }

  #widen(increment: number): void {
    if (increment === 0) throw new Http2Error(ErrorCode.protocolError, 'WINDOW_UPDATE of 0');
    this.writer.window += increment;
    if (this.writer.window > maxWindowBytes)
      throw new Http2Error(ErrorCode.flowControlError, `a window over ${maxWindowBytes} B`);
    this.writer.pump();
  }

  /** On receipt: what a stream holds is bounded by its own window. */
  #giveBack(bytes: number): void {
    this.#unannounced += bytes;
    if (!this.#wide || this.#unannounced * 2 < this.limits.connectionWindowBytes) return;
    this.writer.control(windowUpdateFrame(0, this.#unannounced));
    this.#receiveWindow += this.#unannounced;
    this.#unannounced = 0;
  }

  /** What pays for frames that move nothing: DATA both ways, and what we send twice, since it brings two WINDOW_UPDATEs; and for resets: answers that were given. */
  #useful(): Record<keyof FloodLimits, number> {
    return {
      idleFrames: this.#usefulFrames + 2 * this.writer.usefulFrames,
      resets: this.writer.headerBlocks,
    };
  }

  /** RFC 9113 section 3.4. */
  #firstIsSettings(): void {
    // One frame is over, or DATA has begun: what is not whole now began later.
    this.#partialSinceMs = 0;
    if (!this.#settingsSeen) throw new Http2Error(ErrorCode.protocolError, 'the first frame is not SETTINGS');
  }

  #spend(kind: keyof FloodLimits, what: string): void {
    if (this.#guard.allows(kind)) return;
    throw new Http2Error(ErrorCode.enhanceYourCalm, this.#tooMany(kind, what));
  }

  #tooMany(kind: keyof FloodLimits, what: string): string {
    const { burst, perSecond } = this.limits.flood[kind];
    return `too many (${what}): over ${burst} and ${perSecond} a second`;
  }

  /**
   * A server may still work on what we have reset, and counts it: who opens the next stream at once has it refused,
   * and the connection closed at last. So its place stays taken for a moment (CVE-2023-44487).
   */
  #cool(): void {
    this.#cooling += 1;
    if (this.#coolTimer === undefined) this.#coolLater();
  }

  /** Those that come while it runs wait for the next one. */
  #coolLater(): void {
    const covered = this.#cooling;
    this.#coolTimer = this.#clock.after(this.limits.resetCoolMs, () => this.#cooled(covered));
  }

  #cooled(covered: number): void {
    this.#coolTimer = undefined;
    this.#cooling -= covered;
    if (this.#cooling > 0) this.#coolLater();
    this.#owner.changed();
  }

  #endIfDrained(): void {
    if (this.#streams.size > 0) return;
    if (this.#state === 'draining' || (this.#peerGone && this.#state === 'open'))
      this.#end(ErrorCode.noError, done);
  }

  #fail(errorCode: number, text: string): void {
    const code = errorCode === ErrorCode.enhanceYourCalm ? 'limit' : 'protocol';
    this.#end(errorCode, {
      code: errorCode === ErrorCode.internalError ? 'internal' : code,
      text: `HTTP/2: ${text}`,
    });
  }

  #end(errorCode: number, reason: CloseReason): void {
    // What ends a stream may have ended the connection with it.
    if (this.#state === 'ending' || this.#state === 'closed') return;
    this.#state = 'ending';
    this.#keepalive?.close();
    this.#reason = reason;
    const cut: StreamCut = { code: ErrorCode.cancel, text: reason.text || 'the connection was closed' };
    this.#abandonAll(cut);
    if (this.#greeted) this.writer.control(goawayFrame(this.#lastServed, errorCode, reason.text));
    this.writer.stop();
    this.#stream.end();
    this.#owner.changed();
    this.#lingerTimer = this.#clock.after(this.limits.lingerMs, () => this.#stream.reset(reason));
  }

  #abandonAll(cut: StreamCut): void {
    for (const stream of [...this.#streams.values()]) stream.abandon(cut);
  }
}
