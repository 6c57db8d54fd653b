import type { IncomingMessage } from 'node:http';
import { type RequestOptions, request } from 'node:https';
import type { Clock } from '../../core/clock.ts';
import { LockwireError } from '../../core/errors.ts';

/** Gets one small document over https, or throws. */
export type HttpsGet = (url: string, options: HttpsGetOptions) => Promise<string>;

interface HttpsGetOptions {
  /** PEM of the only CAs to believe; default: the system's. */
  readonly ca?: string;
  readonly maxBytes: number;
  /** For the whole of it: name look-up, handshake, and the last byte of the body. */
  readonly timeoutMs: number;
}

/** A client for key sets: https only, always verified, no redirects, no compression, a cap on size and on time. */
export function createHttpsGet(clock: Clock): HttpsGet {
  return (url, options) =>
    new Promise((resolve, reject) => {
      if (URL.parse(url)?.protocol !== 'https:')
        throw new LockwireError('config', `'${url}' is not an https URL`);
      const outgoing = request(url, requestOptions(options), response => {
        collect(url, response, options.maxBytes).then(settle(resolve), fail);
      });
      const timer = clock.after(options.timeoutMs, () =>
        fail(new LockwireError('timeout', `no whole answer from '${url}' within ${options.timeoutMs} ms`)),
      );
      outgoing.on('error', fail);
      outgoing.end();

      function fail(error: unknown): void {
        timer.cancel();
        outgoing.destroy();
        reject(error);
      }

      function settle(done: (text: string) => void): (text: string) => void {
        return text => {
          timer.cancel();
          done(text);
        };
      }
    });
}

function requestOptions({ ca }: HttpsGetOptions): RequestOptions {
  return {
    ...(ca === undefined ? {} : { ca }),
    agent: false,
    // Said here so that no environment variable can say otherwise.
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    headers: { accept: 'application/json', 'accept-encoding': 'identity', 'user-agent': 'lockwire' },
  };
}

async function collect(url: string, response: IncomingMessage, maxBytes: number): Promise<string> {
  const { statusCode = 0, headers } = response;
  // A redirect may lead anywhere, inward too: the configured place is the only one that is asked.
  if (statusCode !== 200) throw new LockwireError('io', `'${url}' answered ${statusCode}, 200 wanted`);
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity')
    throw new LockwireError('io', `'${url}' answered in encoding '${encoding}', none was asked for`);
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) throw new LockwireError('limit', `'${url}' answered with more than ${maxBytes} B`);
    chunks.push(chunk);
  }
  if (!response.complete) throw new LockwireError('io', `'${url}' broke off after ${bytes} B`);
  return Buffer.concat(chunks).toString('utf8');
}
