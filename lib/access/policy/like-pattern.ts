import type { PatternElem } from '@cedar-policy/cedar-wasm/nodejs';

/** Whether a text fits, as Cedar's `like` would say. Both must be well-formed Unicode. */
export type LikePattern = (text: string) => boolean;

/**
 * `*` stands for any run of characters, line breaks too; all else for itself; the whole text must fit. Cedar compares
 * characters and this code units, which is the same where no surrogate stands alone.
 */
export function likePattern(pattern: readonly PatternElem[]): LikePattern {
  const runs = runsOf(pattern);
  const [start = '', ...rest] = runs;
  if (rest.length === 0) return text => text === start;
  const end = rest.pop() ?? '';
  // An empty run says nothing that the star beside it does not.
  const between = rest.filter(run => run !== '');
  if (between.length === 0) return text => fitsEnds(text, start, end);
  return text =>
    fitsEnds(text, start, end) && fitsBetween(text, start.length, text.length - end.length, between);
}

/** What stands before, between and behind the stars: one more than there are stars. */
function runsOf(pattern: readonly PatternElem[]): string[] {
  const runs: string[] = [];
  let run = '';
  for (const element of pattern) {
    if (element !== 'Wildcard') {
      run += element.Literal;
      continue;
    }
    runs.push(run);
    run = '';
  }
  runs.push(run);
  return runs;
}

function fitsEnds(text: string, start: string, end: string): boolean {
  return text.length >= start.length + end.length && text.startsWith(start) && text.endsWith(end);
}

/** Each run behind the last: the first place where one fits leaves the most room for the next. */
function fitsBetween(text: string, from: number, to: number, runs: readonly string[]): boolean {
  let at = from;
  for (const run of runs) {
    const found = text.indexOf(run, at);
    if (found < 0) return false;
    at = found + run.length;
  }
  return at <= to;
}
