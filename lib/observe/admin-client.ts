import { request as httpRequest, type IncomingMessage } from 'node:http';
import { codeOf, type ErrorCode, errorCodes, LockwireError, messageOf } from '../core/errors.ts';
import { readBounded } from './admin-body.ts';
import { adminClientTimeoutMs, maxAdminAnswerBytes } from './options.ts';

/**
 * Asks the gateway behind an admin socket; gives the JSON of its answer.
 * Errors: `unavailable` where none runs, `denied` without permission, else what the gateway itself answered.
 */
export async function adminRequest(
  socketPath: string,
  method: 'GET' | 'POST',
  path: string,
  body?: unknown,
): Promise<unknown> {
  const response = await send(socketPath, method, path, body);
  const text = (await readBounded(response, maxAdminAnswerBytes)).toString('utf8');
  const answer = parse(text);
  const status = response.statusCode ?? 0;
  if (status < 400) return answer;
  throw refusal(status, answer);
}

function send(socketPath: string, method: string, path: string, body: unknown): Promise<IncomingMessage> {
  const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
  return new Promise((resolve, reject) => {
    const request = httpRequest({
      socketPath,
      method,
      path,
      agent: false,
      timeout: adminClientTimeoutMs,
      headers: {
        host: 'admin',
        ...(payload && { 'content-type': 'application/json', 'content-length': payload.byteLength }),
      },
    });
    request.once('response', resolve);
    request.once('timeout', () =>
      request.destroy(
        new LockwireError(
          'timeout',
          `the gateway at ${socketPath} gave no answer within ${adminClientTimeoutMs} ms`,
        ),
      ),
    );
    request.once('error', error => reject(explain(error, socketPath)));
    request.end(payload);
  });
}

function explain(error: Error, socketPath: string): Error {
  if (error instanceof LockwireError) return error;
  const code = codeOf(error);
  if (code === 'ENOENT' || code === 'ECONNREFUSED')
    return new LockwireError('unavailable', `no gateway is running here: nothing answers at ${socketPath}`, {
      cause: error,
    });
  if (code === 'EACCES' || code === 'EPERM')
    return new LockwireError(
      'denied',
      `no permission to use ${socketPath}: run as the user who runs the gateway`,
      {
        cause: error,
      },
    );
  return new LockwireError('io', `asking the gateway at ${socketPath} failed: ${messageOf(error)}`, {
    cause: error,
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new LockwireError('protocol', 'the gateway answered with something else than JSON');
  }
}

function refusal(status: number, answer: unknown): LockwireError {
  const error = typeof answer === 'object' && answer !== null && 'error' in answer ? answer.error : undefined;
  const { code, message } = (typeof error === 'object' && error !== null ? error : {}) as Record<
    string,
    unknown
  >;
  const known: ErrorCode = errorCodes.find(candidate => candidate === code) ?? 'io';
  return new LockwireError(known, typeof message === 'string' ? message : `the gateway answered ${status}`);
}
