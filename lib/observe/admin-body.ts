import type { IncomingMessage } from 'node:http';
import { LockwireError } from '../core/errors.ts';
import { maxAdminBodyBytes } from './options.ts';

/** The JSON body of a request; throws `limit` or `usage`. An empty body is undefined. */
export async function readAdminBody(request: IncomingMessage): Promise<unknown> {
  const stated = Number(request.headers['content-length'] ?? 0);
  if (stated > maxAdminBodyBytes) throw tooLarge(stated);
  const text = (await readBounded(request, maxAdminBodyBytes)).toString('utf8');
  if (text.trim() === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw new LockwireError('usage', 'the body is not JSON');
  }
}

/** All bytes of a message, or `limit` as soon as there are more; the rest is left unread. */
export function readBounded(message: IncomingMessage, maxBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    message.on('data', (chunk: Buffer) => {
      bytes += chunk.byteLength;
      if (bytes <= maxBytes) {
        chunks.push(chunk);
        return;
      }
      message.removeAllListeners('data');
      message.pause();
      reject(tooLarge(bytes, maxBytes));
    });
    message.once('end', () => resolve(Buffer.concat(chunks, bytes)));
    message.once('error', reject);
    message.once('close', () => reject(new LockwireError('io', 'the connection closed before its end')));
  });
}

function tooLarge(bytes: number, maxBytes: number = maxAdminBodyBytes): LockwireError {
  return new LockwireError('limit', `body of ${bytes} bytes or more, at most ${maxBytes} are taken`);
}
