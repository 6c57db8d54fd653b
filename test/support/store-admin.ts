import { adminRequest } from '../../lib/observe/admin-client.ts';

interface ListedTunnel {
  readonly session: string;
  readonly principal: string;
  readonly instance: string;
  readonly binding: 'bound' | 'unbound';
  readonly credential: { readonly kind: string; readonly id: string };
}

interface ListedRelay {
  readonly session: string;
  readonly id: string;
}

interface ListedHttp2 {
  readonly session: string;
  readonly principals: readonly string[];
  readonly requests: number;
}

/** What the routes answer, as far as tests look. */
export interface AdminAnswer {
  readonly tunnels: readonly ListedTunnel[];
  readonly relays: readonly ListedRelay[];
  readonly http2: readonly ListedHttp2[];
  readonly id: number;
  readonly code: string;
  readonly gatewayKey: string;
  readonly killed: string;
  readonly text: string;
}

/** Asks a gateway's admin socket, as the command line does. */
export async function admin(
  gateway: { readonly adminSocket: string },
  method: 'GET' | 'POST',
  path: string,
  body?: object,
): Promise<AdminAnswer> {
  return (await adminRequest(gateway.adminSocket, method, path, body)) as AdminAnswer;
}
