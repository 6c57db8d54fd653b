import { parseGrpcTimeout } from '../../wire/grpc/timeout.ts';
import type { HeaderBlock } from '../../wire/hpack/decoder.ts';
import type { Field } from '../../wire/hpack/fields.ts';
import { contentLength, fieldFault, staysHere, valueFault } from './field-rules.ts';

/** A request as the policy and the upstream see it. */
export interface RequestHead {
  readonly method: string;
  readonly scheme: string;
  /** As the client sent it. */
  readonly authority: string;
  /** With its query, if any. */
  readonly path: string;
  readonly grpc: boolean;
  /** The token of `authorization: Bearer`; undefined without one. A secret. */
  readonly token: string | undefined;
  /** -1 where it is not said. */
  readonly contentLength: number;
  /** Of `grpc-timeout`. */
  readonly timeoutMs: number | undefined;
  /** Regular fields that go upstream. */
  readonly fields: readonly Field[];
}

interface Draft {
  method: string;
  scheme: string;
  authority: string | undefined;
  path: string;
  host: string | undefined;
  grpc: boolean;
  authorized: boolean;
  token: string | undefined;
  contentLength: number;
  timeoutMs: number | undefined;
  fields: Field[];
}

/** Checks a request's header section by RFC 9113 section 8.3.1; a text where it is malformed. */
export function requestOf(block: HeaderBlock): RequestHead | string {
  const draft: Draft = {
    method: '',
    scheme: '',
    authority: undefined,
    path: '',
    host: undefined,
    grpc: false,
    authorized: false,
    token: undefined,
    contentLength: -1,
    timeoutMs: undefined,
    fields: [],
  };
  let regular = false;
  for (const field of block.fields) {
    const pseudo = field.name.charCodeAt(0) === colon;
    if (pseudo && regular) return 'a pseudo-header behind a field';
    regular = !pseudo;
    const fault = pseudo ? takePseudo(draft, field) : takeRegular(draft, field);
    if (fault !== undefined) return fault;
  }
  return finish(draft);
}

const colon = 58;

const pseudoHeaders = new Map<string, 'method' | 'scheme' | 'path' | 'authority'>([
  [':method', 'method'],
  [':scheme', 'scheme'],
  [':path', 'path'],
  [':authority', 'authority'],
]);

function takePseudo(draft: Draft, { name, value }: Field): string | undefined {
  const known = pseudoHeaders.get(name);
  if (known !== undefined && (draft[known] ?? '') !== '') return `${name} twice`;
  // An empty one is a fault, so whatever was taken before is not empty.
  if (value === '' || valueFault(value)) return `a value that ${name} may not have`;
  if (known === undefined) return 'a pseudo-header that a request does not have';
  draft[known] = value;
  return undefined;
}

function takeRegular(draft: Draft, field: Field): string | undefined {
  const fault = fieldFault(field);
  if (fault !== undefined) return fault;
  const { name, value } = field;
  switch (name) {
    case 'host':
      if (draft.host !== undefined) return 'host twice';
      draft.host = value;
      return undefined;
    case 'authorization':
      // Of two, one part may take the first and another the last.
      if (draft.authorized) return 'authorization twice';
      draft.authorized = true;
      draft.token = bearerOf(value);
      return undefined;
    case 'content-length': {
      const length = contentLength(value);
      if (length === undefined || draft.contentLength !== -1)
        return 'content-length that is no single length';
      draft.contentLength = length;
      break;
    }
    case 'content-type':
      draft.grpc = value.startsWith('application/grpc');
      break;
    case 'grpc-timeout':
      draft.timeoutMs = parseGrpcTimeout(value);
      if (draft.timeoutMs === undefined) return 'grpc-timeout that is no time';
      break;
  }
  if (!staysHere(name)) draft.fields.push(field);
  return undefined;
}

/** Another scheme of authentication is no token; the empty one is refused where a token is looked at. */
function bearerOf(value: string): string | undefined {
  return /^bearer +/i.test(value) ? value.replace(/^bearer +/i, '') : undefined;
}

function finish(draft: Draft): RequestHead | string {
  const { host, authority } = draft;
  if (draft.method === '') return 'no :method';
  // With a space in it, a server of HTTP/1 behind the upstream reads another path (RFC 9110 section 9.1).
  if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(draft.method)) return 'a :method that is no token';
  if (draft.method === 'CONNECT') return 'CONNECT, which is not served here';
  if (draft.scheme !== 'http' && draft.scheme !== 'https') return 'a :scheme other than http and https';
  if (draft.path === '') return 'no :path';
  // Two names for one request: what one part authorises the other would serve (RFC 9113 section 8.3.1).
  if (host !== undefined && authority !== undefined && host.toLowerCase() !== authority.toLowerCase())
    return ':authority and host differ';
  const named = authority ?? host ?? '';
  // With userinfo (RFC 9113 section 8.3.1), or a path, or what one part reads up to and another beyond.
  if (!/^[!$&'()*+,.:;=[\]_~%0-9A-Za-z-]*$/.test(named)) return 'an :authority that is no host and port';
  const { method, scheme, path, grpc, token, fields } = draft;
  const { contentLength: length, timeoutMs } = draft;
  return { method, scheme, authority: named, path, grpc, token, contentLength: length, timeoutMs, fields };
}

/** Not for trailers (RFC 9110 section 6.5.1): who merges them into the headers would read another message. */
const framing = new Set(['content-length', 'host', 'te', 'trailer', 'content-type', 'content-encoding']);

/** The trailers of a request, less what stays here; a text where they are malformed (RFC 9113 section 8.1). */
export function trailersOf(block: HeaderBlock, stays: (name: string) => boolean): readonly Field[] | string {
  const fields: Field[] = [];
  for (const field of block.fields) {
    if (field.name.charCodeAt(0) === colon) return 'a pseudo-header among trailers';
    const fault = fieldFault(field);
    if (fault !== undefined) return fault;
    if (!framing.has(field.name) && !stays(field.name)) fields.push(field);
  }
  return fields;
}
