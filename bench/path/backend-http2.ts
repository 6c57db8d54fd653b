// The backend's HTTP/2 face, shaped like a gRPC server: the first message of a stream says what is wanted.
import type { TLSSocket } from 'node:tls';
import { answerFields, answerTrailers, messageHeaderBytes } from './http2-fields.ts';
import { FrameConnection, maxFrameBytes } from './http2-frames.ts';

/** `E` echoes until the client's end, `S` swallows until then and answers one message, `D` sends so many bytes. */
interface Call {
  head: Buffer;
  wanted: number;
  left: number;
}

const headBytes = messageHeaderBytes + 7;
const want = { echo: 0x45, swallow: 0x53, send: 0x44 } as const;
const piece = Buffer.alloc(maxFrameBytes, 0x5a);
/** One message of one byte. */
const receipt = Buffer.from([0, 0, 0, 0, 1, 0x6b]);
const empty = Buffer.alloc(0);

export function serveHttp2(socket: TLSSocket): void {
  const calls = new Map<number, Call>();
  const senders = new Set<number>();
  const finish = (id: number): void => {
    connection.trailers(id, answerTrailers);
    calls.delete(id);
    senders.delete(id);
  };
  const send = (id: number, call: Call): void => {
    while (call.left > 0) {
      const size = Math.min(call.left, maxFrameBytes, connection.room(id));
      if (size <= 0) return;
      call.left -= size;
      connection.data(id, piece.subarray(0, size));
    }
    finish(id);
  };
  const begin = (id: number, call: Call): void => {
    call.wanted = call.head[messageHeaderBytes] ?? 0;
    if (call.wanted !== want.swallow) connection.headers(id, answerFields);
    if (call.wanted !== want.send) return;
    call.left = call.head.readUIntBE(messageHeaderBytes + 1, 6);
    senders.add(id);
  };
  const onData = (id: number, payload: Buffer, end: boolean): void => {
    const call = calls.get(id);
    if (call === undefined) return;
    let bytes = payload;
    if (call.wanted === 0) {
      bytes = call.head = Buffer.concat([call.head, payload]);
      if (bytes.byteLength < headBytes && !end) return;
      begin(id, call);
    }
    if (call.wanted === want.echo) {
      if (bytes.byteLength > 0) connection.data(id, bytes);
      if (end) finish(id);
    } else if (call.wanted === want.send) send(id, call);
    else if (end) {
      connection.headers(id, answerFields);
      connection.data(id, receipt);
      finish(id);
    }
  };
  const connection = new FrameConnection(socket, 'server', {
    headers: (id, end) => {
      // A second field section is the end of a request that came with trailers.
      if (calls.has(id)) onData(id, empty, end);
      else calls.set(id, { head: empty, wanted: 0, left: 0 });
    },
    data: onData,
    reset: id => {
      calls.delete(id);
      senders.delete(id);
      connection.forget(id);
    },
    room: () => {
      for (const id of senders) {
        const call = calls.get(id);
        if (call !== undefined) send(id, call);
      }
    },
    closed: () => calls.clear(),
  });
}
