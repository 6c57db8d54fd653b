/**
 * Reads DER (ITU-T X.690 section 10): definite and shortest lengths only. What it is given was already parsed by
 * OpenSSL; this reader is stricter, so that what one of them sees the other sees as well.
 */
export interface DerElement {
  /** Identifier octet: class, constructed bit and number; numbers above 30 are not read. */
  readonly tag: number;
  readonly content: Uint8Array;
  /** The whole element with tag and length. */
  readonly whole: Uint8Array;
}

export class DerError extends Error {}

export const derTags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectId: 0x06,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
} as const;

/** The one element that these bytes are. */
export function readDer(bytes: Uint8Array): DerElement {
  const [only, ...rest] = readElements(bytes);
  if (only === undefined || rest.length > 0) throw new DerError('not one DER element');
  return only;
}

/** The elements within a constructed one of this tag. */
export function readChildren(element: DerElement | undefined, tag: number): DerElement[] {
  return readElements(expectTag(element, tag).content);
}

export function expectTag(element: DerElement | undefined, tag: number): DerElement {
  if (element?.tag !== tag)
    throw new DerError(`DER tag ${element?.tag ?? 'none'} found where ${tag} was expected`);
  return element;
}

/** The elements that follow one another in these bytes. */
export function readElements(bytes: Uint8Array): DerElement[] {
  const elements: DerElement[] = [];
  for (let offset = 0; offset < bytes.byteLength; ) {
    const element = readElement(bytes, offset);
    elements.push(element);
    offset += element.whole.byteLength;
  }
  return elements;
}

function readElement(bytes: Uint8Array, start: number): DerElement {
  const tag = bytes[start] ?? 0;
  if ((tag & 0x1f) === 0x1f) throw new DerError('DER tag number above 30');
  const first = bytes[start + 1];
  if (first === undefined) throw new DerError('DER element without length');
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  // 4 bytes of length are 4 GiB: no certificate or CRL comes near. 0 would be BER's indefinite form.
  if (first === 0x80 || lengthBytes > 4) throw new DerError('DER length is indefinite or too long');
  let length = lengthBytes === 0 ? first : 0;
  for (let i = 0; i < lengthBytes; i += 1) length = length * 256 + (bytes[start + 2 + i] ?? 0);
  if (lengthBytes > 0 && (length < 0x80 || length < 256 ** (lengthBytes - 1)))
    throw new DerError('DER length is not the shortest');
  const contentStart = start + 2 + lengthBytes;
  const end = contentStart + length;
  if (end > bytes.byteLength) throw new DerError(`DER length ${length} passes the end`);
  return { tag, content: bytes.subarray(contentStart, end), whole: bytes.subarray(start, end) };
}

/** Content octets as hex: how object identifiers, serial numbers and names are compared here. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

/** Content as ASCII, which is what IA5String and the time types hold. */
export function toAscii(bytes: Uint8Array): string {
  if (bytes.some(byte => byte > 0x7f)) throw new DerError('text is not ASCII');
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

/** UTCTime or GeneralizedTime in the only forms that RFC 5280 section 4.1.2.5 allows: seconds, and Z. */
export function readTime(element: DerElement | undefined): number {
  const text = element === undefined ? '' : toAscii(element.content);
  const digits = /^(\d\d)?(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  const generalized = element?.tag === derTags.generalizedTime;
  if (
    !digits ||
    (!generalized && element?.tag !== derTags.utcTime) ||
    generalized !== (digits[1] !== undefined)
  )
    throw new DerError(`time is of another form than RFC 5280's`);
  const [, century, ...pairs] = digits;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = pairs.map(Number);
  const fullYear = century === undefined ? (year >= 50 ? 1900 : 2000) + year : Number(century) * 100 + year;
  return Date.UTC(fullYear, month - 1, day, hour, minute, second);
}
