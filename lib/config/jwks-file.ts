/** Largest key set: the limit that holds for one that is fetched. */
export const maxJwksBytes = 262_144;

/** Members that only private and symmetric keys have (RFC 7518 sections 6.2.2, 6.3.2, 6.4). */
const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'];

/** Why a text does not do as a set of public keys (RFC 7517 section 5); undefined where it does. */
export function judgeJwks(text: string): string | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return 'holds no JSON';
  }
  const keys = typeof value === 'object' && value !== null && 'keys' in value ? value.keys : undefined;
  if (!Array.isArray(keys)) return 'holds no key set; expected {"keys": [ … ]}';
  if (keys.length === 0) return 'holds a key set without keys';
  for (const [index, key] of keys.entries()) {
    if (typeof key !== 'object' || key === null || typeof key.kty !== 'string')
      return `keys[${index}] is no JSON web key`;
    if (privateMembers.some(member => Object.hasOwn(key, member)))
      return `keys[${index}] is a private or symmetric key; expected public keys only`;
  }
  return undefined;
}
