import type { Client } from './client.ts';
import type { AgentName } from './messages.ts';

/** A sender's type must be the client's own; AutoGen leaves the sender out where the runtime itself sends. */
export function isOwnSender(client: Client, sender: AgentName | undefined): boolean {
  if (sender === undefined || (sender.type === '' && sender.key === '')) return true;
  return client.types.has(sender.type);
}
