import { safeText } from '../../core/bytes.ts';

const uuid = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}/gi;

/**
 * A host's error text without the ids that it knows clients by: what we minted are UUIDs, as are AutoGen's own. `known`
 * is what the client said itself.
 */
export function scrubIds(text: string, known: readonly string[] = []): string {
  return safeText(
    text.replace(uuid, id => (known.some(name => name.includes(id)) ? id : '…')),
    512,
  );
}
