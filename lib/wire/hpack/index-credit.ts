/** Hits of entries that pay for one insertion. */
const hitsPerInsertion = 8;
/** Fields after which one is let into the table on trial, though its name has no credit. */
const trialEvery = 1_024;

/**
 * Whether fields of one kind are worth the table's room: insertions are paid with credit, and hits give it back. Values
 * that do not return use it up; from then on they are written beside the table, which stays as it is. A trial now and
 * then finds out whether they have come to return.
 */
export class IndexCredit {
  readonly #max: number;
  #left: number;
  #hits = 0;
  #refused = 0;

  constructor(max: number) {
    this.#max = max;
    this.#left = max;
  }

  /** A field is in no table: whether it may go into it. */
  spend(): boolean {
    if (this.#left > 0) {
      this.#left -= 1;
      return true;
    }
    this.#refused += 1;
    if (this.#refused < trialEvery) return false;
    this.#refused = 0;
    return true;
  }

  /** A field was found in the table. */
  hit(): void {
    this.#hits += 1;
    if (this.#hits < hitsPerInsertion) return;
    this.#hits = 0;
    if (this.#left < this.#max) this.#left += 1;
  }
}
