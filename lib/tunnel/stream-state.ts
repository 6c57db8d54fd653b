import { invariant } from '../core/errors.ts';

/**
 * One end's view of a stream.
 *
 *                  ┌─────────┐  opened   ┌──────┐
 *    open ────────▶│ opening │──────────▶│ open │
 *                  └────┬────┘           └──┬───┘
 *        send end│      │receive end        │   send end / receive end
 *                ▼      ▼                   ▼
 *     ┌───────────────────┐ receive end  ┌────────┐
 *     │ half-closed-local │─────────────▶│        │
 *     └───────────────────┘              │ closed │◀── reset, from every state
 *     ┌────────────────────┐ send end    │        │
 *     │ half-closed-remote │────────────▶│        │
 *     └────────────────────┘             └────────┘
 *
 * The opener may half-close before Opened; Opened then changes nothing. The acceptor's `opened` is its own accept.
 */
export type StreamState = 'opening' | 'open' | 'half-closed-local' | 'half-closed-remote' | 'closed';

export type StreamEvent = 'opened' | 'sendEnd' | 'receiveEnd' | 'reset';

const transitions: Readonly<Record<StreamState, Partial<Readonly<Record<StreamEvent, StreamState>>>>> = {
  opening: {
    opened: 'open',
    sendEnd: 'half-closed-local',
    receiveEnd: 'half-closed-remote',
    reset: 'closed',
  },
  open: { sendEnd: 'half-closed-local', receiveEnd: 'half-closed-remote', reset: 'closed' },
  'half-closed-local': { opened: 'half-closed-local', receiveEnd: 'closed', reset: 'closed' },
  'half-closed-remote': { opened: 'half-closed-remote', sendEnd: 'closed', reset: 'closed' },
  closed: {},
};

/** The state behind a peer's event; undefined where the peer may not do that now. */
export function afterPeer(state: StreamState, event: StreamEvent): StreamState | undefined {
  return transitions[state][event];
}

/** The state behind an event of our own. */
export function afterOwn(state: StreamState, event: StreamEvent): StreamState {
  const next = transitions[state][event];
  invariant(next !== undefined, `stream event ${event} in state ${state}`);
  return next;
}
