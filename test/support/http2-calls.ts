/** Requests of node:http2's client, whole. */
import type {
  ClientHttp2Session,
  ClientHttp2Stream,
  IncomingHttpHeaders,
  OutgoingHttpHeaders,
} from 'node:http2';

export interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly trailers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** Of RST_STREAM; 0 where there was none, or NO_ERROR. */
  readonly code: number;
}

/** All of what came back, also where the stream was cut. */
export function answerOf(stream: ClientHttp2Stream): Promise<Answer> {
  return new Promise(resolve => {
    const chunks: Buffer[] = [];
    let headers: IncomingHttpHeaders = {};
    let trailers: IncomingHttpHeaders = {};
    stream.on('response', got => {
      headers = got;
    });
    stream.on('trailers', got => {
      trailers = got;
    });
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', () => {});
    stream.on('close', () => {
      const status = headers[':status'];
      resolve({
        status: status === undefined ? undefined : Number(status),
        headers,
        trailers,
        body: Buffer.concat(chunks),
        code: stream.rstCode ?? 0,
      });
    });
  });
}

export function call(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body?: Uint8Array,
): Promise<Answer> {
  const stream = session.request(body === undefined ? headers : { ':method': 'POST', ...headers }, {
    endStream: body === undefined,
  });
  if (body !== undefined) stream.end(body);
  return answerOf(stream);
}

export const grpcHeaders: OutgoingHttpHeaders = {
  ':method': 'POST',
  'content-type': 'application/grpc',
  te: 'trailers',
};
