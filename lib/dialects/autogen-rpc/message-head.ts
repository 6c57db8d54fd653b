/** First bytes of a message that is skipped: its kind and request id stand there. */
export const headBytes = 1_024;

/** The kind of a message and its request id from its first bytes alone: of one that is too long or malformed. Nothing is permitted by it. */
export interface MessageHead {
  readonly kind: 'request' | 'response' | 'event' | 'unknown';
  /** Undefined where the id does not stand at the beginning, as AutoGen writes it. */
  readonly requestId: string | undefined;
}

const kinds: readonly MessageHead['kind'][] = ['unknown', 'request', 'response', 'event'];
const unknown: MessageHead = { kind: 'unknown', requestId: undefined };
/** Wire type 2: length-delimited. */
const lengthDelimited = 2;

export function readMessageHead(head: Uint8Array): MessageHead {
  const outer = fieldAt(head, 0);
  const kind = outer === undefined ? undefined : kinds[outer.number];
  if (outer === undefined || kind === undefined) return unknown;
  if (kind === 'event') return { kind, requestId: undefined };
  const inner = fieldAt(head, outer.start);
  if (inner === undefined || inner.number !== 1) return { kind, requestId: undefined };
  const end = inner.start + inner.length;
  if (end > head.byteLength) return { kind, requestId: undefined };
  return { kind, requestId: Buffer.from(head.subarray(inner.start, end)).toString('utf8') };
}

interface Field {
  readonly number: number;
  readonly start: number;
  readonly length: number;
}

function fieldAt(bytes: Uint8Array, at: number): Field | undefined {
  const tag = varintAt(bytes, at);
  if (tag === undefined || (tag.value & 7) !== lengthDelimited) return undefined;
  const length = varintAt(bytes, tag.next);
  if (length === undefined) return undefined;
  return { number: tag.value >>> 3, start: length.next, length: length.value };
}

/** At most 5 bytes: lengths and tags here are below 2^32. */
function varintAt(bytes: Uint8Array, start: number): { value: number; next: number } | undefined {
  let value = 0;
  for (let at = start; at < bytes.byteLength && at < start + 5; at += 1) {
    const byte = bytes[at] as number;
    value += (byte & 0x7f) * 2 ** (7 * (at - start));
    if (byte < 0x80) return { value, next: at + 1 };
  }
  return undefined;
}
