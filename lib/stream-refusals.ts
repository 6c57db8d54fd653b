/** What the two ends of a refused stream say, in words that `lockwire doctor` knows again. */

export function noExposeServes(target: string): string {
  return `no expose serves target "${target}" now`;
}

export const hostOutOfReach = 'expose cannot reach its host';
