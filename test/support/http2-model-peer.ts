/** One end of an HTTP/2 connection by the rules of RFC 9113 and no one else's engine: it counts what it was allowed and what it allowed. */
import type { Carrier } from '../../lib/core/ports.ts';
import { HpackDecoder } from '../../lib/wire/hpack/decoder.ts';
import { HpackEncoder } from '../../lib/wire/hpack/encoder.ts';
import { type Field, fieldBytes } from '../../lib/wire/hpack/fields.ts';
import { FrameDecoder, type FrameSink } from '../../lib/wire/http2/decode.ts';
import {
  goawayFrame,
  headersFrames,
  pingFrame,
  rstStreamFrame,
  settingsAck,
  settingsFrame,
  windowUpdateFrame,
} from '../../lib/wire/http2/encode.ts';
import { errorName, Flag, FrameType, preface, SettingId } from '../../lib/wire/http2/frames.ts';
import { rawFrame } from './http2-frames.ts';

/** What a peer announces; what it leaves out stays. */
export interface Announced {
  tableBytes: number;
  maxStreams: number;
  windowBytes: number;
  maxFrameBytes: number;
  maxListBytes: number;
}

const protocolDefaults: Announced = {
  tableBytes: 4_096,
  maxStreams: Number.POSITIVE_INFINITY,
  windowBytes: 65_535,
  maxFrameBytes: 16_384,
  maxListBytes: Number.POSITIVE_INFINITY,
};

const ids: readonly (readonly [keyof Announced, number])[] = [
  ['tableBytes', SettingId.headerTableSize],
  ['maxStreams', SettingId.maxConcurrentStreams],
  ['windowBytes', SettingId.initialWindowSize],
  ['maxFrameBytes', SettingId.maxFrameSize],
  ['maxListBytes', SettingId.maxHeaderListSize],
];

export type Item =
  | { readonly kind: 'fields'; readonly fields: readonly Field[]; readonly end: boolean }
  /** `padding` undefined: an unpadded frame. */
  | { readonly kind: 'data'; left: number; readonly padding: number | undefined; readonly end: boolean };

export interface PeerStream {
  readonly id: number;
  /** What the other side lets us send. */
  sendWindow: number;
  /** WINDOW_UPDATEs that we sent, and flow-controlled bytes that came. */
  granted: number;
  received: number;
  /** Came and not given back. */
  owed: number;
  /** Keeps what is owed. */
  holds: boolean;
  readonly items: Item[];
  oursEnded: boolean;
  theirsEnded: boolean;
}

export interface PeerOwner {
  /** Bytes of this stream, in order. */
  content(peer: ModelPeer, streamId: number, bytes: number): Buffer;
  /** They are on their way. */
  sentFields(peer: ModelPeer, streamId: number, fields: readonly Field[]): void;
  sentEnd(peer: ModelPeer, streamId: number): void;
  fields(peer: ModelPeer, streamId: number, fields: readonly Field[]): void;
  data(peer: ModelPeer, streamId: number, bytes: Uint8Array): void;
  ended(peer: ModelPeer, streamId: number): void;
  reset(peer: ModelPeer, streamId: number, code: number): void;
  /** A GOAWAY, or the end of the connection. */
  leaving(peer: ModelPeer): void;
  lost(peer: ModelPeer): void;
  /** The other side broke a rule. */
  violation(text: string): void;
}

/** Written at a time, so that what comes meanwhile matters. */
const writeBytes = 32_768;
/** Given with each WINDOW_UPDATE that nobody asked for. */
const leastUpdate = 1_100;

export class ModelPeer implements FrameSink {
  readonly role: 'client' | 'server';
  readonly streams: Map<number, PeerStream> = new Map();
  /** Streams that were, so that late frames are told from wrong ones. */
  readonly closed: Set<number> = new Set();
  /** What the other side announced. */
  readonly theirs: Announced = { ...protocolDefaults };
  sendWindow = 65_535;
  owed = 0;
  holds = false;
  gone = false;
  leaving = false;
  /** Streams above it are not looked at any more. */
  lastServed = 0x7fffffff;
  readonly #carrier: Carrier;
  readonly #owner: PeerOwner;
  readonly #decoder: FrameDecoder;
  readonly #hpack = new HpackDecoder({
    maxTableBytes: 65_536,
    maxListBytes: 200_000,
    maxFields: 1_000,
    maxCrumbs: 100,
  });
  readonly #encoder = new HpackEncoder();
  /** Acknowledged, and those on their way in order. */
  #acked: Announced = { ...protocolDefaults };
  readonly #unacked: Announced[] = [];
  #received = 0;
  #granted = 65_535;
  #tableBytes = 4_096;
  #prefaceLeft = 0;
  #out: Uint8Array[] = [];
  #writing = false;
  #nextStream = 1;
  #highest = 0;
  #ended = false;
  #endSaid = false;
  #dataEnds = false;

  /** `firstWindowBytes`: what it counts on until it is told, 65,535 B or less. */
  constructor(
    role: 'client' | 'server',
    carrier: Carrier,
    first: Partial<Announced>,
    owner: PeerOwner,
    firstWindowBytes: number,
  ) {
    this.role = role;
    this.theirs.windowBytes = firstWindowBytes;
    this.#carrier = carrier;
    this.#owner = owner;
    this.#decoder = new FrameDecoder(this, {
      maxFrameBytes: 65_536,
      maxHeaderBlockBytes: 300_000,
      maxContinuations: 100,
    });
    if (role === 'client') this.#out.push(preface);
    else this.#prefaceLeft = preface.length;
    this.announce(first);
    carrier.start({
      data: chunk => this.#read(chunk),
      end: () => {
        this.leaving = true;
        this.#owner.leaving(this);
        this.finish();
      },
      closed: () => {
        this.gone = true;
        this.#owner.lost(this);
      },
    });
  }

  get acknowledged(): boolean {
    return this.#unacked.length === 0;
  }

  // What it says.

  announce(change: Partial<Announced>): void {
    const next = { ...(this.#unacked.at(-1) ?? this.#acked), ...change };
    this.#unacked.push(next);
    const pairs = ids
      .filter(([key]) => change[key] !== undefined && change[key] !== Number.POSITIVE_INFINITY)
      .map(([key, id]) => [id, change[key] as number] as const);
    this.#say(settingsFrame(pairs));
  }

  /** Undefined where there may be none. */
  open(fields: readonly Field[], end: boolean): PeerStream | undefined {
    if (this.gone || this.leaving || this.streams.size >= this.theirs.maxStreams) return undefined;
    const stream = this.#begin(this.#nextStream);
    this.#nextStream += 2;
    this.#sendFields(stream, fields, end);
    return stream;
  }

  queue(stream: PeerStream, item: Item): void {
    stream.items.push(item);
    this.pump();
  }

  reset(stream: PeerStream, code: number): void {
    this.#say(rstStreamFrame(stream.id, code));
    this.#forget(stream);
  }

  probe(): void {
    this.#say(pingFrame(Buffer.alloc(8, 7), false));
  }

  /** Of its own encoder. */
  useTable(bytes: number): void {
    this.#encoder.setPeerTableBytes(bytes);
  }

  goAway(lastServed: number): void {
    this.lastServed = Math.min(this.lastServed, lastServed);
    this.#say(goawayFrame(lastServed, 0, ''));
    for (const stream of [...this.streams.values()]) if (stream.id > lastServed) this.#forget(stream);
  }

  /** A client's: it begins no more streams, and those it has run on. */
  leave(): void {
    this.leaving = true;
    this.#say(goawayFrame(0, 0, ''));
  }

  /** The highest stream that was begun by the other side. */
  get highest(): number {
    return this.#highest;
  }

  giveBack(stream: PeerStream | undefined, extra = 0): void {
    if (stream === undefined) {
      const bytes = this.owed + extra;
      this.owed = 0;
      if (bytes <= 0 || this.#granted - this.#received + bytes > 0x7fffffff) return;
      this.#granted += bytes;
      this.#say(windowUpdateFrame(0, bytes));
      return;
    }
    const bytes = stream.owed + extra;
    stream.owed = 0;
    if (bytes <= 0 || stream.theirsEnded || !this.streams.has(stream.id)) return;
    if (this.#most('windowBytes') + stream.granted - stream.received + bytes > 0x7fffffff) return;
    stream.granted += bytes;
    this.#say(windowUpdateFrame(stream.id, bytes));
  }

  stall(on: boolean): void {
    if (on) this.#carrier.pause();
    else this.#carrier.resume();
  }

  breakOff(): void {
    this.#carrier.destroy(true);
  }

  /** Half-closes behind what was said. */
  finish(): void {
    this.#ended = true;
    this.#flush();
  }

  /** Sends what windows and the pipe have room for, a frame of each stream in turn. */
  pump(): void {
    if (this.#writing || this.gone) return;
    let bytes = 0;
    for (let moved = true; moved && bytes < writeBytes; ) {
      moved = false;
      for (const stream of [...this.streams.values()]) {
        const sent = this.#advance(stream);
        if (sent < 0) continue;
        moved = true;
        bytes += sent;
      }
    }
    this.#flush();
  }

  /** Bytes that one item's next frame carried; -1 where nothing could go. */
  #advance(stream: PeerStream): number {
    const [item] = stream.items;
    if (item === undefined) return -1;
    if (item.kind === 'fields') {
      stream.items.shift();
      this.#sendFields(stream, item.fields, item.end);
      return 100;
    }
    const overhead = item.padding === undefined ? 0 : item.padding + 1;
    const room = Math.min(this.sendWindow, stream.sendWindow, this.theirs.maxFrameBytes) - overhead;
    const bytes = Math.min(item.left, room);
    if (bytes < 0 || (bytes === 0 && item.left > 0)) return -1;
    item.left -= bytes;
    const last = item.left === 0;
    if (last) stream.items.shift();
    this.#sendData(stream, bytes, item.padding, last && item.end);
    return bytes + 9;
  }

  #sendData(stream: PeerStream, bytes: number, padding: number | undefined, end: boolean): void {
    const content = this.#owner.content(this, stream.id, bytes);
    const payload =
      padding === undefined ? content : Buffer.concat([Buffer.of(padding), content, Buffer.alloc(padding)]);
    const flags = (padding === undefined ? 0 : Flag.padded) | (end ? Flag.endStream : 0);
    stream.sendWindow -= payload.byteLength;
    this.sendWindow -= payload.byteLength;
    this.#out.push(rawFrame(FrameType.data, flags, stream.id, payload));
    if (end) this.#weEnd(stream);
  }

  #sendFields(stream: PeerStream, fields: readonly Field[], end: boolean): void {
    this.#owner.sentFields(this, stream.id, fields);
    this.#say(headersFrames(stream.id, this.#encoder.encode(fields), end, this.theirs.maxFrameBytes));
    if (end) this.#weEnd(stream);
  }

  #weEnd(stream: PeerStream): void {
    stream.oursEnded = true;
    this.#owner.sentEnd(this, stream.id);
    if (stream.theirsEnded) this.#forget(stream);
  }

  #begin(id: number): PeerStream {
    const stream: PeerStream = {
      id,
      sendWindow: this.theirs.windowBytes,
      granted: 0,
      received: 0,
      owed: 0,
      holds: false,
      items: [],
      oursEnded: false,
      theirsEnded: false,
    };
    this.streams.set(id, stream);
    return stream;
  }

  #forget(stream: PeerStream): void {
    this.streams.delete(stream.id);
    this.closed.add(stream.id);
  }

  #say(frame: Uint8Array): void {
    this.#out.push(frame);
    this.#flush();
  }

  #flush(): void {
    if (this.#writing || this.gone || this.#endSaid) return;
    if (this.#out.length === 0) {
      this.#endSaid = this.#ended;
      if (this.#ended) this.#carrier.end();
      return;
    }
    const chunk = Buffer.concat(this.#out);
    this.#out = [];
    this.#writing = true;
    this.#carrier.write([chunk], () => {
      this.#writing = false;
      this.pump();
    });
  }

  // What it hears.

  #read(chunk: Uint8Array): void {
    let rest = chunk;
    if (this.#prefaceLeft > 0) {
      const taken = Math.min(this.#prefaceLeft, chunk.byteLength);
      const at = preface.length - this.#prefaceLeft;
      if (!Buffer.from(chunk.subarray(0, taken)).equals(preface.subarray(at, at + taken)))
        this.#owner.violation('no preface');
      this.#prefaceLeft -= taken;
      rest = chunk.subarray(taken);
    }
    if (rest.byteLength > 0) this.#decoder.push(rest);
    this.pump();
  }

  #most(key: keyof Announced): number {
    return Math.max(this.#acked[key], ...this.#unacked.map(announced => announced[key]));
  }

  #find(id: number, what: string): PeerStream | undefined {
    const stream = this.streams.get(id);
    if (stream === undefined && !this.closed.has(id) && id <= this.lastServed)
      this.#owner.violation(`${what} on stream ${id}, which never was`);
    return stream;
  }

  dataBegin(id: number, bytes: number, end: boolean): void {
    this.#dataEnds = end;
    this.#received += bytes;
    this.owed += bytes;
    if (this.#received > this.#granted)
      this.#owner.violation(`DATA ${this.#received - this.#granted} B beyond the connection's window`);
    if (bytes > this.#most('maxFrameBytes')) this.#owner.violation(`a frame of ${bytes} B`);
    const stream = this.#find(id, 'DATA');
    if (stream === undefined) return;
    if (stream.theirsEnded) this.#owner.violation(`DATA behind the end of stream ${id}`);
    stream.received += bytes;
    stream.owed += bytes;
    const allowed = this.#most('windowBytes') + stream.granted;
    if (bytes > 0 && stream.received > allowed)
      this.#owner.violation(`DATA ${stream.received - allowed} B beyond the window of stream ${id}`);
  }

  dataBytes(id: number, bytes: Uint8Array): void {
    if (this.streams.has(id)) this.#owner.data(this, id, bytes);
  }

  dataEnd(id: number): void {
    if (!this.holds && this.#isWorthIt(this.owed, this.#granted - this.#received))
      this.giveBack(undefined, leastUpdate);
    const stream = this.streams.get(id);
    if (stream === undefined) return;
    if (this.#dataEnds) this.#theyEnd(stream);
    else if (!stream.holds && this.#isWorthIt(stream.owed, this.#windowOf(stream)))
      this.giveBack(stream, leastUpdate);
  }

  /** A WINDOW_UPDATE for each byte is a flood, which the relay ends. */
  #isWorthIt(owed: number, left: number): boolean {
    return owed > 0 && (left <= 0 || owed >= leastUpdate);
  }

  #windowOf(stream: PeerStream): number {
    return (this.#unacked.at(-1) ?? this.#acked).windowBytes + stream.granted - stream.received;
  }

  headers(id: number, block: Uint8Array, end: boolean): void {
    this.#checkTable(block);
    const { fields } = this.#hpack.decode(block);
    let stream = this.streams.get(id);
    if (stream === undefined && this.role === 'server' && id > this.#highest && id <= this.lastServed) {
      stream = this.#beginTheirs(id, fields);
    }
    if (stream === undefined) {
      this.#highest = Math.max(this.#highest, id);
      this.#find(id, 'HEADERS');
      return;
    }
    if (stream.theirsEnded) this.#owner.violation(`HEADERS behind the end of stream ${id}`);
    this.#owner.fields(this, id, fields);
    if (end) this.#theyEnd(stream);
  }

  #beginTheirs(id: number, fields: readonly Field[]): PeerStream {
    this.#highest = id;
    const most = this.#most('maxStreams');
    if (this.streams.size >= most) this.#owner.violation(`stream ${id} where ${most} may be open`);
    let listBytes = 0;
    for (const field of fields) listBytes += fieldBytes(field);
    if (listBytes > this.#most('maxListBytes')) this.#owner.violation(`a header list of ${listBytes} B`);
    return this.#begin(id);
  }

  /** RFC 7541 section 4.2: what the encoder uses is told at the start of a block, and is no more than was announced. */
  #checkTable(block: Uint8Array): void {
    let at = 0;
    while (((block[at] ?? 0) & 0xe0) === 0x20) {
      let value = (block[at] as number) & 0x1f;
      at += 1;
      if (value === 0x1f) {
        for (let shift = 0; ; shift += 7, at += 1) {
          value += ((block[at] as number) & 0x7f) << shift;
          if (((block[at] as number) & 0x80) === 0) break;
        }
        at += 1;
      }
      this.#tableBytes = value;
    }
    const most = this.#most('tableBytes');
    if (this.#tableBytes > most)
      this.#owner.violation(`a header table of ${this.#tableBytes} B, announced were ${most} B`);
  }

  #theyEnd(stream: PeerStream): void {
    stream.theirsEnded = true;
    this.#owner.ended(this, stream.id);
    if (stream.oursEnded) this.#forget(stream);
  }

  priority(): void {
    this.#owner.violation('PRIORITY');
  }

  resetStream(id: number, code: number): void {
    const stream = this.#find(id, 'RST_STREAM');
    if (stream === undefined) return;
    this.#forget(stream);
    this.#owner.reset(this, id, code);
  }

  setting(id: number, value: number): void {
    const known = ids.find(([, number]) => number === id);
    if (known === undefined) return;
    const [key] = known;
    if (key === 'windowBytes')
      for (const stream of this.streams.values()) stream.sendWindow += value - this.theirs.windowBytes;
    if (key === 'tableBytes') this.#encoder.setPeerTableBytes(value);
    this.theirs[key] = value;
  }

  settingsEnd(): void {
    this.#say(settingsAck());
  }

  settingsAck(): void {
    const acked = this.#unacked.shift();
    if (acked === undefined) return this.#owner.violation('an acknowledgement of nothing');
    this.#acked = acked;
  }

  ping(opaque: Uint8Array, ack: boolean): void {
    if (!ack) this.#say(pingFrame(opaque, true));
  }

  goaway(_last: number, code: number, debug: Uint8Array): void {
    if (code !== 0) this.#owner.violation(`GOAWAY ${errorName(code)}: ${Buffer.from(debug)}`);
    this.leaving = true;
    this.#owner.leaving(this);
  }

  windowUpdate(id: number, increment: number): void {
    if (increment === 0) this.#owner.violation('WINDOW_UPDATE of 0');
    if (id === 0) {
      this.sendWindow += increment;
      return;
    }
    const stream = this.#find(id, 'WINDOW_UPDATE');
    if (stream) stream.sendWindow += increment;
  }

  pushPromise(): void {
    this.#owner.violation('PUSH_PROMISE');
  }

  unknown(type: number): void {
    this.#owner.violation(`a frame of type ${type}`);
  }

  streamError(id: number, code: number, text: string): void {
    this.#owner.violation(`stream ${id}: ${errorName(code)} ${text}`);
  }
}
