import type { PatternElem, PolicyJson } from '@cedar-policy/cedar-wasm/nodejs';

/**
 * What policies ask of one context attribute. Where they ask no more than this, two texts that are among the same
 * literals and fit the same patterns can't be told apart by any of them.
 */
export interface AttributeUse {
  /** It is used in some other way: the text itself matters. */
  whole: boolean;
  /** Compared with these: `==`, `!=`, `[…].contains(…)`. */
  readonly literals: Set<string>;
  /** Of `like`, by their own text so that none is there twice. */
  readonly patterns: Map<string, readonly PatternElem[]>;
}

/** How policies use the context: by attribute; what no policy mentions has no entry. */
export interface ContextUse {
  /** It is used as a whole, or by something unknown here: each attribute's own text matters. */
  whole: boolean;
  readonly attributes: Map<string, AttributeUse>;
}

/** An expression of Cedar's JSON form: one operator and its operands. Read as unknown, for it may hold more than the types say. */
type Node = Readonly<Record<string, unknown>>;

/**
 * Reads all conditions. Only what is known for certain narrows the use: whatever else an attribute stands in makes its
 * text matter, and an operator that is not known here makes every text matter. Whether an attribute is there at all is
 * not looked at: the key of a decision says it anyway.
 */
export function contextUseOf(policies: readonly PolicyJson[]): ContextUse {
  const use: ContextUse = { whole: false, attributes: new Map() };
  // No recursion: a long `||` is as deep as it is long.
  const todo: unknown[] = policies.flatMap(({ conditions }) => conditions.map(({ body }) => body));
  while (todo.length > 0) visit(todo.pop(), use, todo);
  return use;
}

function visit(node: unknown, use: ContextUse, todo: unknown[]): void {
  const [operator, operands, ...others] = isNode(node) ? Object.entries(node).flat() : [];
  if (typeof operator !== 'string' || others.length > 0) use.whole = true;
  else if (!leaf(operator, operands) && !question(operator, operands, use))
    open(operator, operands, use, todo);
}

/** What holds no attribute of the context. */
function leaf(operator: string, operands: unknown): boolean {
  return operator === 'Value' || (operator === 'Var' && operands !== 'context');
}

/** A question whose answer is all that a policy learns of an attribute; false where it is none of these. */
function question(operator: string, operands: unknown, use: ContextUse): boolean {
  if (!isNode(operands)) return false;
  const { left, right, attr, pattern } = operands;
  const [ofLeft, ofRight] = [attributeOf(left), attributeOf(right)];
  switch (operator) {
    case 'has':
      return isContext(left) && typeof attr === 'string';
    case 'like':
      if (ofLeft === undefined || !isPattern(pattern)) return false;
      useOf(use, ofLeft).patterns.set(JSON.stringify(pattern), pattern);
      return true;
    case '==':
    case '!=':
      return compared(ofLeft, right, use) || compared(ofRight, left, use);
    case 'contains': {
      const literals = isNode(left) && Array.isArray(left.Set) ? left.Set.map(textOf) : [undefined];
      if (ofRight === undefined || !literals.every(literal => literal !== undefined)) return false;
      for (const literal of literals) useOf(use, ofRight).literals.add(literal);
      return true;
    }
    default:
      return false;
  }
}

function compared(attribute: string | undefined, other: unknown, use: ContextUse): boolean {
  const literal = textOf(other);
  if (attribute === undefined || literal === undefined) return false;
  useOf(use, attribute).literals.add(literal);
  return true;
}

/** Operators whose operands are expressions under these names, and nothing else that matters. */
const operandNames = new Map<string, readonly string[]>([
  ...['!', 'neg', 'isEmpty'].map(operator => [operator, ['arg']] as const),
  ...['.', 'has', 'like'].map(operator => [operator, ['left']] as const),
  ...['==', '!=', 'in', '<', '<=', '>', '>=', '&&', '||', '+', '-', '*'].map(twoSided),
  ...['contains', 'containsAll', 'containsAny', 'getTag', 'hasTag'].map(twoSided),
  ['is', ['left', 'in']],
  ['if-then-else', ['if', 'then', 'else']],
]);

function twoSided(operator: string): readonly [string, readonly string[]] {
  return [operator, ['left', 'right']];
}

/** Puts what an expression is made of on the list of what is to be read. */
function open(operator: string, operands: unknown, use: ContextUse, todo: unknown[]): void {
  const attribute = attributeOf({ [operator]: operands });
  if (attribute !== undefined) useOf(use, attribute).whole = true;
  // A set, or a function of Cedar's extensions, whose arguments are a list.
  else if (Array.isArray(operands)) todo.push(...operands);
  else if (!isNode(operands)) use.whole = true;
  else if (operator === 'Record') todo.push(...Object.values(operands));
  else {
    const names = operandNames.get(operator);
    if (names === undefined) use.whole = true;
    else for (const name of names) if (operands[name] !== undefined) todo.push(operands[name]);
  }
}

function useOf({ attributes }: ContextUse, name: string): AttributeUse {
  const known = attributes.get(name);
  if (known !== undefined) return known;
  const use: AttributeUse = { whole: false, literals: new Set(), patterns: new Map() };
  attributes.set(name, use);
  return use;
}

/** The attribute's name where an expression is `context.name` or `context["name"]`. */
function attributeOf(node: unknown): string | undefined {
  const access = isNode(node) ? node['.'] : undefined;
  if (!isNode(access) || !isContext(access.left)) return undefined;
  return typeof access.attr === 'string' ? access.attr : undefined;
}

function isContext(node: unknown): boolean {
  return isNode(node) && node.Var === 'context';
}

/** The text where an expression is a literal one. */
function textOf(node: unknown): string | undefined {
  return isNode(node) && typeof node.Value === 'string' ? node.Value : undefined;
}

function isPattern(value: unknown): value is readonly PatternElem[] {
  return (
    Array.isArray(value) &&
    value.every(element => element === 'Wildcard' || (isNode(element) && typeof element.Literal === 'string'))
  );
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
