import {
  GrpcEnvelopeDecoder,
  type GrpcEnvelopeSink,
  grpcPrefixBytes,
  writeGrpcPrefix,
} from '../../lib/wire/grpc/envelope.ts';
import { GrpcError } from '../../lib/wire/grpc/errors.ts';

/** One message as it is on the wire. */
export function grpcMessage(payload: Uint8Array, compressed = false): Buffer {
  const prefix = Buffer.alloc(grpcPrefixBytes);
  writeGrpcPrefix(prefix, 0, compressed, payload.byteLength);
  return Buffer.concat([prefix, payload]);
}

/** Keeps what it is told as lines of text, the slices of a message joined. */
export class MessageLog implements GrpcEnvelopeSink {
  readonly events: string[] = [];
  readonly views: Uint8Array[] = [];
  #payload = '';

  begin(compressed: boolean, length: number): void {
    this.#payload = '';
    this.events.push(`begin ${compressed} ${length}`);
  }
  bytes(view: Uint8Array): void {
    if (view.byteLength === 0) throw new Error('a slice of no bytes');
    this.views.push(view);
    if (this.#payload === '') this.events.push('');
    this.#payload += Buffer.from(view.buffer, view.byteOffset, view.byteLength).toString('hex');
    this.events[this.events.length - 1] = this.#payload;
  }
  end(): void {
    this.events.push('end');
  }
}

export interface DecodedMessages {
  readonly events: readonly string[];
  /** `status: message`, or ''. */
  readonly error: string;
  readonly atBoundary: boolean;
}

/** What a decoder makes of bytes that are cut at these offsets. Throws what is no GrpcError. */
export function decodeMessages(
  bytes: Uint8Array,
  cuts: readonly number[] = [],
  maxMessageBytes?: number,
): DecodedMessages {
  const log = new MessageLog();
  const decoder = new GrpcEnvelopeDecoder(log, maxMessageBytes);
  let error = '';
  try {
    let at = 0;
    for (const cut of [...cuts, bytes.byteLength]) {
      decoder.push(bytes.subarray(at, cut));
      at = cut;
    }
  } catch (thrown) {
    if (!(thrown instanceof GrpcError)) throw thrown;
    error = `${thrown.status}: ${thrown.message}`;
  }
  return { events: log.events, error, atBoundary: decoder.atBoundary };
}

/** The same, from all the bytes at once: the messages that are there whole, and the start of the next one. */
export function decodeMessagesNaively(bytes: Buffer, maxMessageBytes: number): DecodedMessages {
  const events: string[] = [];
  let rest = bytes;
  while (rest.length > 0) {
    const flag = rest.readUInt8(0);
    if (flag > 1) return failed(events, `13: INTERNAL: compressed flag is ${flag}, expected 0 or 1`);
    if (rest.length < 5) return { events, error: '', atBoundary: false };
    const length = rest.readUInt32BE(1);
    if (length > maxMessageBytes) {
      const text = `8: RESOURCE_EXHAUSTED: message of ${length} bytes, limit ${maxMessageBytes}`;
      return failed(events, text);
    }
    const payload = rest.subarray(5, 5 + length);
    events.push(`begin ${flag === 1} ${length}`);
    if (payload.length > 0) events.push(payload.toString('hex'));
    if (payload.length < length) return { events, error: '', atBoundary: false };
    events.push('end');
    rest = rest.subarray(5 + length);
  }
  return { events, error: '', atBoundary: true };
}

function failed(events: readonly string[], error: string): DecodedMessages {
  return { events, error, atBoundary: false };
}
