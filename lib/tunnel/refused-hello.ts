import { LockwireError } from '../core/errors.ts';
import type { CloseReason } from '../core/session.ts';

/** A refusal of a credential, shown with Hello or with Renew, that the peer is told. */
export class RefusedHello extends LockwireError {
  readonly reason: CloseReason;

  constructor(reason: CloseReason) {
    super(reason.code === 'denied' ? 'denied' : 'unauthenticated', reason.text);
    this.reason = reason;
  }
}
