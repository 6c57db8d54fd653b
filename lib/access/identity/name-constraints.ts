import { type AltName, altNameKinds } from './certificate.ts';
import { derTags, readChildren, readDer, readElements, toAscii } from './der.ts';
import { Refusal } from './refusal.ts';

/** Throws Refusal unless a CA's name constraints (RFC 5280 section 4.2.1.10) allow each of these names. */
export function checkNameConstraints(constraints: Uint8Array, names: readonly AltName[]): void {
  const parts = readChildren(readDer(constraints), derTags.sequence);
  const permitted = subtrees(parts.find(({ tag }) => tag === 0xa0)?.content);
  const excluded = subtrees(parts.find(({ tag }) => tag === 0xa1)?.content);
  for (const name of names) {
    const allowing = permitted.filter(({ kind }) => kind === name.kind);
    const forbidding = excluded.filter(({ kind }) => kind === name.kind);
    const allowed = allowing.length === 0 || allowing.some(base => within(name, base));
    if (!allowed || forbidding.some(base => within(name, base)))
      throw new Refusal('chain', 'a name of the certificate is outside the name constraints of its CA');
  }
}

function subtrees(content: Uint8Array | undefined): readonly AltName[] {
  if (content === undefined) return [];
  const bases = readElements(content).map(subtree => {
    const [base, ...bounds] = readChildren(subtree, derTags.sequence);
    // Minimum is 0 and maximum absent in every certificate of RFC 5280's profile.
    if (base === undefined || bounds.length > 0) throw new Refusal('chain', 'name constraint has bounds');
    return { kind: base.tag & 0x1f, content: base.content };
  });
  if (bases.some(({ kind }) => kind === altNameKinds.directory))
    throw new Refusal('chain', 'name constraints on directory names are not supported');
  return bases;
}

function within(name: AltName, base: AltName): boolean {
  switch (name.kind) {
    case altNameKinds.dns:
      return hostWithin(toAscii(name.content), toAscii(base.content), true);
    case altNameKinds.uri:
      return hostWithin(URL.parse(toAscii(name.content))?.host ?? '', toAscii(base.content), false);
    case altNameKinds.ip:
      return addressWithin(name.content, base.content);
    default:
      throw new Refusal('chain', 'the CA constrains a kind of name that can not be judged here');
  }
}

function hostWithin(text: string, baseText: string, subdomains: boolean): boolean {
  const host = text.toLowerCase();
  const base = baseText.toLowerCase();
  if (base === '') return true;
  if (base.startsWith('.')) return host.endsWith(base) && host.length > base.length;
  return host === base || (subdomains && host.endsWith(`.${base}`));
}

/** An address against address and mask, 4 and 4 octets or 16 and 16. */
function addressWithin(address: Uint8Array, base: Uint8Array): boolean {
  if (base.byteLength !== address.byteLength * 2) return false;
  return address.every((octet, i) => {
    const mask = base[address.byteLength + i] ?? 0xff;
    return (octet & mask) === ((base[i] ?? 0) & mask);
  });
}
