import type { Refusal } from './refusal.ts';
import type { RequestHead } from './request.ts';

/** A request of a client's connection that lives: forwarded, answered, or in a dialect's hands. */
export interface LiveRequest {
  /** Undefined where it was malformed or too large to be looked at. */
  readonly head: RequestHead | undefined;
  /** It was judged. */
  readonly begun: boolean;
  /** Answers in the client's protocol, and ends what was begun. */
  refuse(refusal: Refusal): void;
  /** Ends it; the client reads only the code. */
  abort(code: number): void;
}
