import { createHash } from 'node:crypto';
import type { PolicyJson } from '@cedar-policy/cedar-wasm/nodejs';
import { type AttributeUse, contextUseOf } from './context-use.ts';
import { type LikePattern, likePattern } from './like-pattern.ts';
import { maxPatternsPerAttribute, maxRequestChars } from './options.ts';
import type { PolicyRequest } from './vocabulary.ts';

/** Takes a text's place in a key: two texts of one class are one to the policies. */
type ClassOf = (text: string) => string;

/** By attribute; what is not in it goes into a key as it is. */
interface Classes {
  readonly byName: ReadonlyMap<string, ClassOf>;
  /** Of attributes that no policy mentions. */
  readonly others: ClassOf;
}

const asItIs: Classes = { byName: new Map(), others: whole };

/**
 * Keys of questions for what policies have to say on them: requests with one key get one decision, by one rule. The
 * text of an attribute counts only as far as these policies can see it: not at all, or which of their literals it is
 * and which of their patterns it fits.
 */
export class QuestionKeys {
  /** Of targets that a policy's head names, and then of all others. */
  readonly #byTarget: ReadonlyMap<string, Classes>;
  readonly #others: Classes;

  constructor(policies: readonly PolicyJson[]) {
    const byTarget = Map.groupBy(policies, targetOfHead);
    this.#others = classesOf(byTarget.get(undefined) ?? []);
    const own = new Map<string, Classes>();
    for (const [target, those] of byTarget)
      if (target !== undefined) own.set(target, both(this.#others, classesOf(those)));
    this.#byTarget = own;
  }

  keyOf(request: PolicyRequest): string {
    return key(request, this.#byTarget.get(targetOf(request.resource)) ?? this.#others);
  }
}

/** All of a request but its principal, so that only the very same request has the same key. */
export function exactKey(request: PolicyRequest): string {
  return key(request, asItIs);
}

const maxPlainKeyChars = 512;

/**
 * Whatever a policy could see and is not of one fixed length has its length before it: no two different questions share
 * a key, wherever one part ends and the next begins. The same facts in another order are another question, which costs
 * a decision and no more.
 */
function key({ action, resource, context }: PolicyRequest, { byName, others }: Classes): string {
  const { type, id } = resource;
  let text = `${action} ${type} ${id.length} ${id}`;
  for (const name in context) {
    const value = context[name];
    text += ` ${name.length} ${name}`;
    if (typeof value !== 'string') text += `=${value};`;
    // What is denied unread is denied for what it is.
    else if (value.length > maxRequestChars || !value.isWellFormed()) text += whole(value);
    else text += (byName.get(name) ?? others)(value);
  }
  // A long path must not make the cache as large as thousands of them.
  return text.length <= maxPlainKeyChars ? text : digest(text);
}

export function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}

function whole(text: string): string {
  return `:${text.length} ${text}`;
}

function unseen(): string {
  return '?';
}

function classesOf(policies: readonly PolicyJson[]): Classes {
  const use = contextUseOf(policies);
  if (use.whole) return asItIs;
  return {
    byName: new Map([...use.attributes].map(([name, one]) => [name, classOf(one)])),
    others: unseen,
  };
}

/** Classes of texts that neither can tell apart. */
function both(one: Classes, other: Classes): Classes {
  if (one === asItIs || other === asItIs) return asItIs;
  const byName = new Map(one.byName);
  for (const [name, second] of other.byName) {
    const first = byName.get(name);
    if (first === undefined || second === whole) byName.set(name, second);
    else if (first !== whole) byName.set(name, text => first(text) + second(text));
  }
  return { byName, others: unseen };
}

function classOf({ whole: all, literals, patterns }: AttributeUse): ClassOf {
  // For each request each of them is tried: above this, remembering texts costs less.
  if (all || patterns.size > maxPatternsPerAttribute) return whole;
  const fits = [...patterns.values()].map(likePattern);
  // A text that is one of the literals is a class by itself.
  const known = new Map([...literals].map((literal, i) => [literal, `!${i};`]));
  const fit = (text: string): string => `#${outcomes(fits, text)};`;
  return known.size === 0 ? fit : text => known.get(text) ?? fit(text);
}

/** Bits of a small integer. */
const outcomesPerNumber = 30;

/** Which of the patterns a text fits: always as many numbers. */
function outcomes(fits: readonly LikePattern[], text: string): string {
  let all = '';
  let some = 0;
  for (let i = 0; i < fits.length; i += 1) {
    if (i > 0 && i % outcomesPerNumber === 0) {
      all += `${some},`;
      some = 0;
    }
    some = (some << 1) | (fits[i]?.(text) ? 1 : 0);
  }
  return all + some;
}

/** A target, or the one that holds a resource. */
function targetOf({ type, id }: { readonly type: string; readonly id: string }): string {
  if (type === 'Target') return id;
  const slash = id.indexOf('/');
  return slash > 0 ? id.slice(0, slash) : id;
}

/** The only target on which a policy can have a say; undefined where its head does not name one. */
function targetOfHead({ resource }: PolicyJson): string | undefined {
  const within = resource.op === 'is' ? resource.in : resource;
  if (within === undefined || !('entity' in within)) return undefined;
  const { type, id } = '__entity' in within.entity ? within.entity.__entity : within.entity;
  return targetOf({ type: type.replace('Lockwire::', ''), id });
}
