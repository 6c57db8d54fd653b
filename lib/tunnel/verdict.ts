import { safeText } from '../core/bytes.ts';
import type { CloseReason } from '../core/session.ts';
import type { Verdict } from '../wire/tunnel/frames.ts';
import { maxIdBytes, maxTextBytes } from '../wire/tunnel/limits.ts';

/** Reasons as the frames Reset, Notice and GoAway carry them, and back. */

/** What the peer is told: cut to what a frame may carry; of our own bugs it learns only that there was one. */
export function verdictOf({ code, text, decision = '' }: CloseReason): Verdict {
  return {
    code,
    text: code === 'internal' ? 'internal error' : fitText(text, maxTextBytes),
    decision: fitText(decision, maxIdBytes),
  };
}

/** What the peer told, safe to show: controls and bidi marks are escaped. */
export function reasonOf({ code, text, decision }: Verdict): CloseReason {
  const safe = { code, text: safeText(text, maxTextBytes) };
  return decision ? { ...safe, decision: safeText(decision, maxIdBytes) } : safe;
}

/** `done` says that both directions came to their End; where one was cut, nobody may take it for the whole. */
export function cutShort(reason: CloseReason, code: 'cancelled' | 'session-lost'): CloseReason {
  return reason.code === 'done' ? { ...reason, code, text: reason.text || 'ended before its end' } : reason;
}

/** The longest beginning of a text that takes at most so many bytes of UTF-8. */
export function fitText(text: string, maxBytes: number): string {
  if (Buffer.byteLength(text) <= maxBytes) return text;
  // A decoder that streams holds back a character that is cut, rather than putting U+FFFD for it.
  return new TextDecoder().decode(Buffer.from(text).subarray(0, maxBytes), { stream: true });
}
