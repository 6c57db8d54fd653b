// Just enough HTTP/2 (RFC 9113) for the load and the backend to be cheap. It shares no code with what is measured, and
// trusts its peer: what it doesn't expect, it throws on.
import type { TLSSocket } from 'node:tls';

const type = {
  data: 0,
  headers: 1,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
} as const;
const flag = { endStream: 0x1, ack: 0x1, endHeaders: 0x4, padded: 0x8 } as const;
const setting = { enablePush: 2, maxStreams: 3, initialWindow: 4 } as const;

const headerBytes = 9;
/** The default of SETTINGS_MAX_FRAME_SIZE, which nobody here raises. */
export const maxFrameBytes = 16_384;
/** What this end lets its peer have on the way: of a stream, and of a connection. */
const streamWindowBytes = 1024 * 1024;
const connectionWindowBytes = 8 * 1024 * 1024;
/** A sender that makes its data as it goes stops at so much that the socket has not taken. */
const outputMarkBytes = 128 * 1024;
const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

export interface FrameEvents {
  /** A field section began; it isn't looked into. */
  headers(id: number, end: boolean): void;
  /** The payload is a view of what was read, which nobody else keeps. */
  data(id: number, payload: Buffer, end: boolean): void;
  reset(id: number, code: number): void;
  /** Windows or the socket have room again. */
  room(): void;
  /** The last event. `goAway` is the code of a GOAWAY that came before. */
  closed(goAway: number | undefined): void;
}

interface Sender {
  window: number;
  /** Received since the window was last given back. */
  owed: number;
  queue: Buffer[];
  ends: boolean;
}

export class FrameConnection {
  readonly #socket: TLSSocket;
  readonly #events: FrameEvents;
  readonly #streams = new Map<number, Sender>();
  readonly #waiting = new Map<number, Buffer>();
  #window = 65_535;
  #owed = 0;
  #peerInitialWindow = 65_535;
  #rest: Buffer | undefined;
  #preface: number;
  #out: Buffer[] = [];
  #outBytes = 0;
  #writing = false;
  #reading = false;
  #scheduled = false;
  #goAway: number | undefined;

  constructor(socket: TLSSocket, role: 'client' | 'server', events: FrameEvents) {
    this.#socket = socket;
    this.#events = events;
    this.#preface = role === 'server' ? preface.byteLength : 0;
    if (role === 'client') this.#put(preface);
    this.#put(settings(role));
    this.#put(windowUpdate(0, connectionWindowBytes - 65_535));
    socket.on('data', (data: Buffer) => this.#onData(data));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => events.closed(this.#goAway));
    this.#schedule();
  }

  /** Bytes of DATA that would leave at once. */
  room(id: number): number {
    const stream = this.#streams.get(id);
    if (stream === undefined || stream.queue.length > 0) return 0;
    return Math.min(this.#window, stream.window, outputMarkBytes - this.#outBytes);
  }

  open(id: number, block: Buffer, end = false): void {
    this.#streams.set(id, { window: this.#peerInitialWindow, owed: 0, queue: [], ends: end });
    this.headers(id, block, end);
  }

  headers(id: number, block: Buffer, end = false): void {
    const flags = flag.endHeaders | (end ? flag.endStream : 0);
    this.#frame(type.headers, flags, id, block);
    this.#schedule();
  }

  /** Sends as far as windows reach, and the rest when they do. */
  data(id: number, payload: Buffer, end = false): void {
    const stream = this.#stream(id);
    for (let at = 0; at < payload.byteLength; at += maxFrameBytes) {
      stream.queue.push(payload.subarray(at, at + maxFrameBytes));
    }
    stream.ends = end;
    this.#pump(id, stream);
    this.#schedule();
  }

  /** A trailing field section, after the data before it. */
  trailers(id: number, block: Buffer): void {
    const stream = this.#stream(id);
    if (stream.queue.length === 0) {
      this.headers(id, block, true);
      this.#streams.delete(id);
    } else {
      // Held by a window: looked at again with each that opens.
      this.#waiting.set(id, block);
    }
  }

  /** The stream is over for both ends. */
  forget(id: number): void {
    this.#streams.delete(id);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #stream(id: number): Sender {
    const stream = this.#streams.get(id);
    if (stream === undefined) throw new Error(`stream ${id} is not open`);
    return stream;
  }

  #pump(id: number, stream: Sender): void {
    while (stream.queue.length > 0) {
      const next = stream.queue[0] as Buffer;
      const size = Math.min(next.byteLength, this.#window, stream.window);
      if (size <= 0) return;
      if (size === next.byteLength) stream.queue.shift();
      else stream.queue[0] = next.subarray(size);
      const end = stream.ends && stream.queue.length === 0;
      this.#window -= size;
      stream.window -= size;
      this.#frame(type.data, end ? flag.endStream : 0, id, next.subarray(0, size));
    }
    const trailers = this.#waiting.get(id);
    if (trailers === undefined) return;
    this.#waiting.delete(id);
    this.trailers(id, trailers);
  }

  #frame(kind: number, flags: number, id: number, payload: Buffer): void {
    this.#put(frameHeader(payload.byteLength, kind, flags, id));
    this.#put(payload);
  }

  #put(bytes: Buffer): void {
    this.#out.push(bytes);
    this.#outBytes += bytes.byteLength;
  }

  /** What is sent while reading leaves when all that was read is dealt with; one write is on its way at a time. */
  #schedule(): void {
    if (this.#reading || this.#writing || this.#scheduled) return;
    this.#scheduled = true;
    process.nextTick(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#writing || this.#outBytes === 0 || this.#socket.destroyed) return;
    const bytes = Buffer.concat(this.#out, this.#outBytes);
    this.#out = [];
    this.#outBytes = 0;
    this.#writing = true;
    this.#socket.write(bytes, () => {
      this.#writing = false;
      this.#events.room();
      this.#flush();
    });
  }

  #onData(data: Buffer): void {
    this.#reading = true;
    let bytes = this.#rest === undefined ? data : Buffer.concat([this.#rest, data]);
    if (this.#preface > 0) {
      const skip = Math.min(this.#preface, bytes.byteLength);
      this.#preface -= skip;
      bytes = bytes.subarray(skip);
    }
    let at = 0;
    while (bytes.byteLength - at >= headerBytes) {
      const size = bytes.readUIntBE(at, 3);
      const next = at + headerBytes + size;
      if (next > bytes.byteLength) break;
      const id = bytes.readUInt32BE(at + 5) & 0x7fffffff;
      this.#onFrame(bytes[at + 3] ?? 0, bytes[at + 4] ?? 0, id, bytes.subarray(at + headerBytes, next));
      at = next;
    }
    this.#rest = at === bytes.byteLength ? undefined : bytes.subarray(at);
    this.#reading = false;
    this.#flush();
  }

  #onFrame(kind: number, flags: number, id: number, payload: Buffer): void {
    if (kind === type.data) return this.#onDataFrame(flags, id, payload);
    if (kind === type.headers) {
      if (!this.#streams.has(id)) {
        this.#streams.set(id, { window: this.#peerInitialWindow, owed: 0, queue: [], ends: false });
      }
      return this.#events.headers(id, (flags & flag.endStream) !== 0);
    }
    if (kind === type.windowUpdate) return this.#onWindowUpdate(id, payload.readUInt32BE(0) & 0x7fffffff);
    if (kind === type.settings && (flags & flag.ack) === 0) return this.#onSettings(payload);
    if (kind === type.ping && (flags & flag.ack) === 0)
      return this.#frame(type.ping, flag.ack, 0, Buffer.from(payload));
    if (kind === type.rstStream) return this.#events.reset(id, payload.readUInt32BE(0));
    if (kind === type.goAway) this.#goAway = payload.readUInt32BE(4);
    if (kind === type.pushPromise) throw new Error('a push was not asked for');
  }

  #onDataFrame(flags: number, id: number, payload: Buffer): void {
    if ((flags & flag.padded) !== 0) throw new Error('padding is not expected');
    const end = (flags & flag.endStream) !== 0;
    this.#owed += payload.byteLength;
    if (this.#owed >= connectionWindowBytes / 4) {
      this.#put(windowUpdate(0, this.#owed));
      this.#owed = 0;
    }
    const stream = this.#streams.get(id);
    if (stream !== undefined && !end) {
      stream.owed += payload.byteLength;
      if (stream.owed >= streamWindowBytes / 4) {
        this.#put(windowUpdate(id, stream.owed));
        stream.owed = 0;
      }
    }
    this.#events.data(id, payload, end);
  }

  #onWindowUpdate(id: number, bytes: number): void {
    if (id === 0) {
      this.#window += bytes;
      for (const [other, stream] of this.#streams) if (stream.queue.length > 0) this.#pump(other, stream);
    } else {
      const stream = this.#streams.get(id);
      if (stream === undefined) return;
      stream.window += bytes;
      this.#pump(id, stream);
    }
    this.#events.room();
  }

  #onSettings(payload: Buffer): void {
    for (let at = 0; at + 6 <= payload.byteLength; at += 6) {
      const value = payload.readUInt32BE(at + 2);
      const name = payload.readUInt16BE(at);
      if (name !== setting.initialWindow) continue;
      // RFC 9113 section 6.9.2: it changes the windows of the streams that are open.
      for (const stream of this.#streams.values()) stream.window += value - this.#peerInitialWindow;
      this.#peerInitialWindow = value;
    }
    this.#put(frameHeader(0, type.settings, flag.ack, 0));
    for (const [id, stream] of this.#streams) this.#pump(id, stream);
  }
}

function frameHeader(size: number, kind: number, flags: number, id: number): Buffer {
  const header = Buffer.allocUnsafe(headerBytes);
  header.writeUIntBE(size, 0, 3);
  header[3] = kind;
  header[4] = flags;
  header.writeUInt32BE(id, 5);
  return header;
}

function windowUpdate(id: number, bytes: number): Buffer {
  const frame = Buffer.allocUnsafe(headerBytes + 4);
  frameHeader(4, type.windowUpdate, 0, id).copy(frame);
  frame.writeUInt32BE(bytes, headerBytes);
  return frame;
}

function settings(role: 'client' | 'server'): Buffer {
  const values: (readonly [number, number])[] = [
    [setting.initialWindow, streamWindowBytes],
    role === 'client' ? [setting.enablePush, 0] : [setting.maxStreams, 4_096],
  ];
  const payload = Buffer.alloc(values.length * 6);
  for (const [index, [name, value]] of values.entries()) {
    payload.writeUInt16BE(name, index * 6);
    payload.writeUInt32BE(value, index * 6 + 2);
  }
  return Buffer.concat([frameHeader(payload.byteLength, type.settings, 0, 0), payload]);
}
