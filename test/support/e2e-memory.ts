import type { Program } from './e2e-program.ts';

export const mebibyte = 1_048_576;

/** Rounds after which what is still there counts as held. */
const mostRounds = 24;

/**
 * Resident memory of a process once its collector has had its chance: the least of what is seen while rounds of honest
 * traffic go through it, four and then more until it is at most `enough`. What lies around goes; what is held stays.
 */
export async function settledBytes(
  program: Program,
  round: () => Promise<unknown>,
  enough: number = Number.POSITIVE_INFINITY,
): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 4 || (i < mostRounds && least > enough); i += 1) {
    await round();
    least = Math.min(least, program.residentBytes());
  }
  return least;
}
