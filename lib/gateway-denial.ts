import type { Decision } from './core/ports.ts';
import type { CloseReason } from './core/session.ts';

/** What the person at the other end reads. */
export function denial(
  target: string,
  decision: Decision,
  action: 'connect' | 'expose' | 'call' = 'connect',
): CloseReason {
  const text =
    `denied: ${action} ${target} (${decision.rule}), decision ${decision.id}; ` +
    `ask your admin: lockwire explain ${decision.id}`;
  return { code: 'denied', text, decision: decision.id };
}
