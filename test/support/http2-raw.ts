/** A peer that writes HTTP/2 frames by hand, right or wrong, and notes all that it is answered. */
import { connect, type Socket } from 'node:net';
import { HpackDecoder } from '../../lib/wire/hpack/decoder.ts';
import { HpackEncoder } from '../../lib/wire/hpack/encoder.ts';
import type { Field } from '../../lib/wire/hpack/fields.ts';
import { FrameDecoder, type FrameSink } from '../../lib/wire/http2/decode.ts';
import {
  headersFrames,
  settingsAck,
  settingsFrame,
  windowUpdateFrame,
  writeFrameHeader,
} from '../../lib/wire/http2/encode.ts';
import { ErrorCode, FrameType, preface } from '../../lib/wire/http2/frames.ts';

export interface Heard {
  readonly kind: 'headers' | 'data' | 'reset' | 'goaway' | 'settings' | 'ack' | 'ping' | 'window';
  readonly streamId: number;
  readonly fields: Readonly<Record<string, string>>;
  readonly bytes: number;
  readonly endStream: boolean;
  readonly code: number;
  readonly text: string;
}

export interface RawOptions {
  /** SETTINGS that it begins with. */
  readonly settings?: readonly (readonly [number, number])[];
  readonly acknowledges?: boolean;
  /** Says nothing by itself, no preface either. */
  readonly silent?: boolean;
  /** Gives credit back as bytes come: by default it does. */
  readonly givesCredit?: boolean;
  /** Of a server: the preface that comes first. */
  readonly skipBytes?: number;
}

export type Fields = readonly (readonly [string, string])[];

export class RawClient implements FrameSink {
  readonly socket: Socket;
  readonly heard: Heard[] = [];
  readonly closed: Promise<void>;
  readonly #options: RawOptions;
  readonly #decoder = new FrameDecoder(this);
  readonly #hpackIn = new HpackDecoder();
  readonly #hpackOut = new HpackEncoder(0);
  readonly #watchers = new Set<() => void>();
  #isClosed = false;
  #dataStart = 0;

  static async connect(port: number, options: RawOptions = {}): Promise<RawClient> {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    const client = new RawClient(socket, options);
    if (!options.silent)
      client.send(preface, settingsFrame((options.settings ?? []).map(([id, value]) => [id, value])));
    return client;
  }

  constructor(socket: Socket, options: RawOptions = {}) {
    this.socket = socket;
    this.#options = options;
    socket.on('error', () => {});
    let skip = options.skipBytes ?? 0;
    socket.on('data', (chunk: Buffer) => {
      const rest = chunk.subarray(Math.min(skip, chunk.byteLength));
      skip -= chunk.byteLength - rest.byteLength;
      this.#decoder.push(rest);
    });
    // It answers a half-close with its own, as an honest peer does.
    socket.once('end', () => socket.end());
    this.closed = new Promise(resolve =>
      socket.once('close', () => {
        this.#isClosed = true;
        resolve();
        this.#tell();
      }),
    );
  }

  send(...frames: readonly Uint8Array[]): void {
    if (!this.socket.destroyed) this.socket.write(Buffer.concat(frames));
  }

  /** Writes until the other end closes or all is written, and waits for the socket meanwhile. */
  async flood(times: number, frame: Uint8Array | ((at: number) => Uint8Array), batch = 100): Promise<void> {
    for (let at = 0; at < times && !this.#isClosed && !this.socket.destroyed; at += batch) {
      const frames: Uint8Array[] = [];
      for (let i = at; i < Math.min(times, at + batch); i += 1)
        frames.push(typeof frame === 'function' ? frame(i) : frame);
      const flushed = this.socket.write(Buffer.concat(frames));
      if (!flushed)
        await Promise.race([new Promise(resolve => this.socket.once('drain', resolve)), this.closed]);
      else await new Promise(resolve => setImmediate(resolve));
    }
  }

  block(fields: Fields): Uint8Array {
    return this.#hpackOut.encode(fields.map(([name, value]): Field => ({ name, value, sensitive: false })));
  }

  head(streamId: number, fields: Fields, endStream: boolean): Uint8Array {
    return headersFrames(streamId, this.block(fields), endStream, 16_384);
  }

  /** Resolves with the first that fits, of what was heard or will be; undefined where the connection ends before. */
  hears(fits: (heard: Heard) => boolean): Promise<Heard | undefined> {
    return new Promise(resolve => {
      const look = (): boolean => {
        const found = this.heard.find(fits);
        if (found === undefined && !this.#isClosed) return false;
        resolve(found);
        return true;
      };
      if (look()) return;
      const watcher = (): void => {
        if (look()) this.#watchers.delete(watcher);
      };
      this.#watchers.add(watcher);
    });
  }

  /** Of its response: the status, or the code that it was reset with. */
  async answer(streamId: number): Promise<{ status?: string; code?: number; fields: Heard['fields'] }> {
    const heard = await this.hears(
      one => one.streamId === streamId && (one.kind === 'headers' || one.kind === 'reset'),
    );
    if (heard === undefined) return { fields: {} };
    if (heard.kind === 'reset') return { code: heard.code, fields: {} };
    const status = heard.fields[':status'];
    return { ...(status === undefined ? {} : { status }), fields: heard.fields };
  }

  /** Code of the GOAWAY that ended it, once it is over. */
  async ended(): Promise<{ code: number | undefined; text: string }> {
    await this.closed;
    const goaway = this.heard.findLast(({ kind }) => kind === 'goaway');
    return { code: goaway?.code, text: goaway?.text ?? '' };
  }

  count(kind: Heard['kind']): number {
    return this.heard.reduce((sum, one) => sum + (one.kind === kind ? 1 : 0), 0);
  }

  close(): void {
    this.socket.destroy();
  }

  // FrameSink.

  dataBegin(_streamId: number, flowBytes: number): void {
    this.#dataStart = flowBytes;
  }
  dataBytes(): void {}
  dataEnd(streamId: number, endStream: boolean): void {
    this.#note({ kind: 'data', streamId, bytes: this.#dataStart, endStream });
    if (this.#options.givesCredit === false || this.#dataStart === 0) return;
    this.send(windowUpdateFrame(0, this.#dataStart));
    if (!endStream) this.send(windowUpdateFrame(streamId, this.#dataStart));
  }
  headers(streamId: number, block: Uint8Array, endStream: boolean): void {
    const decoded = this.#hpackIn.decode(block).fields.map(({ name, value }) => [name, value]);
    this.#note({ kind: 'headers', streamId, fields: Object.fromEntries(decoded), endStream });
  }
  priority(): void {}
  resetStream(streamId: number, code: number): void {
    this.#note({ kind: 'reset', streamId, code });
  }
  setting(): void {}
  settingsEnd(): void {
    this.#note({ kind: 'settings' });
    if (this.#options.acknowledges !== false) this.send(settingsAck());
  }
  settingsAck(): void {
    this.#note({ kind: 'ack' });
  }
  ping(_opaque: Uint8Array, ack: boolean): void {
    if (ack) this.#note({ kind: 'ping' });
  }
  goaway(lastStreamId: number, code: number, debug: Uint8Array): void {
    this.#note({ kind: 'goaway', streamId: lastStreamId, code, text: Buffer.from(debug).toString() });
  }
  windowUpdate(streamId: number, bytes: number): void {
    this.#note({ kind: 'window', streamId, bytes });
  }
  pushPromise(): void {}
  unknown(): void {}
  streamError(): void {}

  #note(heard: Partial<Heard> & Pick<Heard, 'kind'>): void {
    this.heard.push({ streamId: 0, fields: {}, bytes: 0, endStream: false, code: 0, text: '', ...heard });
    this.#tell();
  }

  #tell(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }
}

export function requestFields(path: string, more: Fields = [], method = 'GET'): Fields {
  return [[':method', method], [':scheme', 'http'], [':path', path], [':authority', 'backend.test'], ...more];
}

export const grpcFields = (path: string, more: Fields = []): Fields =>
  requestFields(path, [['content-type', 'application/grpc'], ['te', 'trailers'], ...more], 'POST');

export function rst(streamId: number, code: number = ErrorCode.cancel): Uint8Array {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(code);
  return frame(FrameType.rstStream, 0, streamId, payload);
}

/** A WINDOW_UPDATE by anything, 0 and 2^31 too. */
export function credit(streamId: number, bytes: number): Uint8Array {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(bytes);
  return frame(FrameType.windowUpdate, 0, streamId, payload);
}

export function data(streamId: number, bytes: Uint8Array | number, endStream = false): Uint8Array {
  const payload = typeof bytes === 'number' ? Buffer.alloc(bytes, 120) : bytes;
  return frame(FrameType.data, endStream ? 1 : 0, streamId, payload);
}

export function frame(type: number, flags: number, streamId: number, payload: Uint8Array): Uint8Array {
  const out = new Uint8Array(9 + payload.byteLength);
  writeFrameHeader(out, 0, payload.byteLength, type, flags, streamId);
  out.set(payload, 9);
  return out;
}
