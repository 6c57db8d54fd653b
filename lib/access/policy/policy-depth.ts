import { maxPolicyDepth, maxPolicyNesting } from './options.ts';

/** Why a policy is not shown to Cedar. */
export interface DepthProblem {
  readonly message: string;
  /** Where in the text. */
  readonly index: number;
}

/** What stands between two brackets, or behind an `if`. */
interface Level {
  readonly isIf: boolean;
  /** Of its parts that are over: what commas, `then` and `else` part. */
  deepest: number;
  ors: number;
  deepestTerm: number;
  ands: number;
  deepestFactor: number;
  /** Other operators since the last `&&`, one inside the other for all that is looked at. */
  others: number;
  /** The deepest bracket since then. */
  inner: number;
}

// Strings (as split-policies has them) and comments, so that nothing inside them counts; brackets; operators.
const tokens =
  /"(?:[^"\\]|\\[\s\S])*"?|\/\/[^\r\n]*|&&|\|\||[()[\]{},]|[=!<>]=|[<>+*.!-]|\b(?:if|then|else|when|unless|has|like|in|is)\b/g;

/** How deep a policy is, where brackets and ifs are not deeper than they may be. */
export interface PolicyDepth {
  readonly nesting: number;
  /** Of its conditions, in operators, never less than Cedar's own tree is deep; a chain is as deep as it is long. */
  readonly depth: number;
  /** Where reading ended: behind what is nested too deep. */
  readonly index: number;
}

/**
 * Cedar is recursive and its stack is small: what is too deep breaks it, in the parser for brackets, in a decision for
 * a long `||`. undefined where it is not too deep.
 */
export function depthProblem(text: string): DepthProblem | undefined {
  const { nesting, depth, index } = depthOf(text);
  if (nesting > maxPolicyNesting) {
    const message = `brackets and ifs are nested ${nesting} deep here, at most ${maxPolicyNesting} deep are read`;
    return { message, index };
  }
  if (depth <= maxPolicyDepth) return undefined;
  const message =
    `its conditions are ${depth} operators deep, at most ${maxPolicyDepth} are read (a chain is as deep as it is long): ` +
    'write a set, ["/a", "/b"].contains(context.path), or several policies';
  return { message, index: 0 };
}

/** By its text alone; what is no policy has some depth too. */
export function depthOf(text: string): PolicyDepth {
  const all = newLevel(false);
  const levels = [all];
  let nesting = 0;
  for (const { 0: token, index } of text.matchAll(tokens)) {
    read(token, levels);
    nesting = Math.max(nesting, levels.length - 1);
    if (nesting > maxPolicyNesting) return { nesting, depth: 0, index };
  }
  while (levels.length > 1) close(levels);
  endPart(all);
  return { nesting, depth: all.deepest, index: text.length };
}

function read(token: string, levels: Level[]): void {
  const level = levels.at(-1) as Level;
  switch (token) {
    case '(':
    case '[':
    case '{':
      // `x["a"]["b"]` is a chain, as `x.a.b` is.
      if (token === '[') level.others += 1;
      levels.push(newLevel(false));
      return;
    case 'if':
      levels.push(newLevel(true));
      return;
    case ')':
    case ']':
    case '}':
      closeIfs(levels);
      if (levels.length > 1) close(levels);
      return;
    case ',':
      endPart(closeIfs(levels));
      return;
    case 'then':
    case 'else':
      endPart(level);
      return;
    case '||':
      endTerm(level);
      level.ors += 1;
      return;
    // The clauses of a policy are joined by `&&`.
    case '&&':
    case 'when':
    case 'unless':
      endFactor(level);
      level.ands += 1;
      level.others += token === 'unless' ? 1 : 0;
      return;
    default:
      if (!token.startsWith('"') && !token.startsWith('//')) level.others += twoFold.has(token) ? 2 : 1;
  }
}

/** Cedar makes two of each: `a != b` is `!(a == b)`, `a > b` is `!(a <= b)`; `has` may have an `&&` within. */
const twoFold: ReadonlySet<string> = new Set(['!=', '>', '>=', 'has']);

function newLevel(isIf: boolean): Level {
  return { isIf, deepest: 0, ors: 0, deepestTerm: 0, ands: 0, deepestFactor: 0, others: 0, inner: 0 };
}

/** An `if` has no end of its own: it ends with what it stands in. Gives the bracket. */
function closeIfs(levels: Level[]): Level {
  while (levels.at(-1)?.isIf) close(levels);
  return levels.at(-1) as Level;
}

function close(levels: Level[]): void {
  const level = levels.pop() as Level;
  const outer = levels.at(-1) as Level;
  endPart(level);
  outer.inner = Math.max(outer.inner, level.deepest + 1);
}

function endPart(level: Level): void {
  endTerm(level);
  level.deepest = Math.max(level.deepest, level.ors + level.deepestTerm);
  level.ors = level.deepestTerm = 0;
}

function endTerm(level: Level): void {
  endFactor(level);
  level.deepestTerm = Math.max(level.deepestTerm, level.ands + level.deepestFactor);
  level.ands = level.deepestFactor = 0;
}

function endFactor(level: Level): void {
  level.deepestFactor = Math.max(level.deepestFactor, level.others + level.inner);
  level.others = level.inner = 0;
}
