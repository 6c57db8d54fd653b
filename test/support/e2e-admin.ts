import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import type { Program } from './e2e-program.ts';

export interface AdminReply {
  readonly status: number;
  readonly body: string;
}

/** Where a program's ready line says that its health and metrics are. */
export async function adminAddressOf(program: Program): Promise<string> {
  const [, address = ''] = await program.line(/ready .*\badmin (\[?[\w.:]+\]?:\d+)/);
  return address;
}

/** One request to an admin address, on a connection of its own. */
export async function adminGet(
  address: string,
  path: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<AdminReply> {
  const asked = request(`http://${address}${path}`, { headers, method, agent: false });
  asked.end();
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  let body = '';
  for await (const chunk of response) body += String(chunk);
  return { status: response.statusCode ?? 0, body };
}
