import { safeText } from '../../core/bytes.ts';
import type { Hub } from './hub.ts';

/** What `lockwire sessions` shows of a target: whose agents are there, and what waits. */
export interface AutogenDescription {
  readonly clients: readonly ClientDescription[];
  readonly pendingRequests: number;
  readonly heldMessages: number;
  readonly heldBytes: number;
}

export interface ClientDescription {
  readonly principal: string;
  readonly session: string;
  readonly connected: boolean;
  /** The host's side is being opened anew. */
  readonly reaching: boolean;
  readonly agentTypes: readonly string[];
  readonly subscriptions: number;
  readonly pendingRequests: number;
  readonly heldMessages: number;
}

/** Longest agent type as it is shown. */
const maxShownChars = 128;

export function describe(hub: Hub): AutogenDescription {
  const clients = [...hub.clients.all()];
  return {
    clients: clients.map(client => ({
      principal: client.principal,
      session: client.session,
      connected: client.connected,
      reaching: client.channel?.reaching ?? false,
      agentTypes: [...client.types].map(type => safeText(type, maxShownChars)),
      subscriptions: client.subscriptions.size,
      pendingRequests: hub.pending.of(client),
      heldMessages: client.channel?.heldMessages ?? 0,
    })),
    pendingRequests: hub.pending.size,
    heldMessages: clients.reduce((sum, c) => sum + (c.channel?.heldMessages ?? 0), 0),
    heldBytes: clients.reduce((sum, c) => sum + (c.channel?.heldBytes ?? 0), 0),
  };
}
