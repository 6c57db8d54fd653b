/** Why a credential was refused: labels of a metric, so a closed set. */
export type RefusalReason =
  | 'algorithm'
  | 'audience'
  | 'authorized-party'
  | 'chain'
  | 'claims'
  | 'clock'
  | 'confirmation'
  | 'expired'
  | 'groups'
  | 'issuer'
  | 'key'
  | 'keys-unavailable'
  | 'lifetime'
  | 'limit'
  | 'malformed'
  | 'name'
  | 'not-yet-valid'
  | 'revocation'
  | 'signature'
  | 'subject'
  | 'type'
  | 'usage';

/** What a peer is told where the truth would help whoever guesses: the log has the reason. */
export const tokenRefused = 'the token was refused; the log of the gateway says why';

/**
 * A credential that was refused. The message is for the log; `told` is for the peer, who hears the reason only where
 * the issuer's signature proved the credential to be a real one.
 */
export class Refusal extends Error {
  readonly reason: RefusalReason;
  readonly told: string;

  constructor(reason: RefusalReason, message: string, told: string = message) {
    super(message);
    this.name = 'Refusal';
    this.reason = reason;
    this.told = told;
  }
}
