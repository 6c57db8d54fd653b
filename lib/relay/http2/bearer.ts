import type { CloseReason } from '../../core/session.ts';
import { type Refusal, refusalOf } from './refusal.ts';

/** A request that lives in somebody's name. */
export interface Borne {
  refuse(refusal: Refusal): void;
}

/** Somebody on a connection: one identity may bear many requests, and one connection several identities. */
export class Bearer {
  /** As `principalName` gives it. */
  readonly principal: string;
  readonly live: Set<Borne> = new Set();

  constructor(principal: string) {
    this.principal = principal;
  }

  /** Ends what lives, each request in its own protocol. */
  close(reason: CloseReason): void {
    const refusal = refusalOf(reason);
    for (const exchange of [...this.live]) exchange.refuse(refusal);
  }
}
