import type { ByteStream } from './core/ports.ts';
import type { CloseReason, Identity } from './core/session.ts';
import type { Ingress } from './wire/tunnel/frames.ts';

/** What a client asked for, and how it is answered. */
export interface Asked {
  readonly stream: ByteStream;
  readonly ingress: Ingress;
  /** Who asks, now: a renewal may change what they may do. */
  identity(): Identity;
  /** The policy permits it; its target is looked for now. */
  permitted(): void;
  /** The target took the stream up. */
  accept(): void;
  /** It did not, or may not: `stream` is reset with this reason as well. */
  refused(reason: CloseReason): void;
  /** One safe line for the person at the other end. */
  notice(reason: CloseReason): void;
  /** The relay has ended; not called for what was refused. */
  closed(): void;
}
