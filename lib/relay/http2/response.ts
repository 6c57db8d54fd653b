import type { HeaderBlock } from '../../wire/hpack/decoder.ts';
import type { Field } from '../../wire/hpack/fields.ts';
import { contentLength, fieldFault, staysUpstream } from './field-rules.ts';
import { Outgoing } from './outgoing.ts';

export interface ResponseHead {
  readonly status: number;
  /** 1xx: another header section follows. */
  readonly informational: boolean;
  /** -1 where it is not said. */
  readonly contentLength: number;
  readonly outgoing: Outgoing;
}

/** Checks a response's header section by RFC 9113 section 8.3.2; a text where it is malformed. */
export function responseOf(block: HeaderBlock): ResponseHead | string {
  const [first] = block.fields;
  if (first?.name !== ':status' || !/^[1-5]\d\d$/.test(first.value)) return 'no :status first';
  const status = Number(first.value);
  // RFC 9113 section 8.6: HTTP/2 has no Upgrade.
  if (status === 101) return 'status 101';
  const fields: Field[] = [first];
  let length = -1;
  for (let i = 1; i < block.fields.length; i += 1) {
    const field = block.fields[i] as Field;
    if (field.name.startsWith(':')) return 'a second pseudo-header';
    const fault = fieldFault(field);
    if (fault !== undefined) return fault;
    if (field.name === 'content-length') {
      const said = contentLength(field.value);
      if (said === undefined || length !== -1) return 'content-length that is no single length';
      length = said;
    }
    if (!staysUpstream(field.name)) fields.push(field);
  }
  return { status, informational: status < 200, contentLength: length, outgoing: new Outgoing(fields) };
}
