import { createServer } from 'node:net';
import type { HostPort } from '../core/address.ts';
import { codeOf, messageOf } from '../core/errors.ts';

/** Whether an address could be listened on now; `busy` where another socket has it. It is let go of at once. */
export function tryBind({ host, port }: HostPort): Promise<'free' | 'busy' | { readonly refused: string }> {
  return new Promise(resolve => {
    const server = createServer(socket => socket.destroy());
    server.once('error', error => {
      if (codeOf(error) === 'EADDRINUSE') resolve('busy');
      else resolve({ refused: codeOf(error) || messageOf(error) });
    });
    server.listen({ host, port, backlog: 1 }, () => server.close(() => resolve('free')));
  });
}
