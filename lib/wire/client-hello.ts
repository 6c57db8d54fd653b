/**
 * The first thing a TLS client says: only as much of it as chooses a route. What else is in it is for the TLS library
 * to judge; whatever does not parse here is refused, so the library never sees a server name that this did not.
 */
export type ClientHello =
  /** Not all of it is there; worth another look once `bytes` have come in all. */
  | { readonly state: 'partial'; readonly bytes: number }
  | { readonly state: 'malformed'; readonly reason: string }
  | {
      readonly state: 'complete';
      /** Lower case; empty where the client sent none. */
      readonly serverName: string;
      /** The protocols the client offers, in its order. */
      readonly alpn: readonly string[];
    };

const recordHeaderBytes = 5;
const handshakeHeaderBytes = 4;
const handshakeRecord = 22;
const clientHelloMessage = 1;
/** RFC 8446 section 5.1. */
const maxFragmentBytes = 16_384;
const serverNameExtension = 0;
const alpnExtension = 16;

/** Reads a ClientHello from the first bytes of a connection (RFC 8446 sections 4.1.2 and 5.1), fragmented or not. */
export function parseClientHello(bytes: Uint8Array): ClientHello {
  const input = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    const message = readMessage(input);
    return Buffer.isBuffer(message) ? readHello(new Reader(message)) : message;
  } catch (error) {
    if (error instanceof Malformed) return { state: 'malformed', reason: error.message };
    throw error;
  }
}

class Malformed extends Error {}

/** The handshake message's body, from one record or from several. */
function readMessage(input: Buffer): Buffer | ClientHello {
  let wanted = -1;
  let collected = 0;
  const fragments: Buffer[] = [];
  for (let at = 0; ; ) {
    // The version is 3.1 or 3.3 in practice; RFC 8446 wants it ignored beyond its major. A byte that is there and
    // wrong is judged at once: what is no TLS need not fill a header first.
    if ((input[at] ?? handshakeRecord) !== handshakeRecord || (input[at + 1] ?? 3) !== 3) {
      throw new Malformed('not a TLS handshake record');
    }
    if (input.length < at + recordHeaderBytes) return { state: 'partial', bytes: at + recordHeaderBytes };
    const length = input.readUInt16BE(at + 3);
    if (length === 0 || length > maxFragmentBytes) throw new Malformed(`a record of ${length} bytes`);
    const end = at + recordHeaderBytes + length;
    // The type and length of the message are worth a look before all of it is there.
    const fragment = input.subarray(at + recordHeaderBytes, Math.min(end, input.length));
    fragments.push(fragment);
    collected += fragment.length;
    if (wanted < 0 && collected >= handshakeHeaderBytes) wanted = messageBytes(Buffer.concat(fragments));
    if (wanted >= 0 && collected >= wanted) break;
    if (input.length < end) return { state: 'partial', bytes: end };
    at = end;
  }
  const whole = fragments.length === 1 ? (fragments[0] as Buffer) : Buffer.concat(fragments);
  return whole.subarray(handshakeHeaderBytes, wanted);
}

function messageBytes(start: Buffer): number {
  if (start[0] !== clientHelloMessage) throw new Malformed('the first message is not a ClientHello');
  return handshakeHeaderBytes + start.readUIntBE(1, 3);
}

function readHello(hello: Reader): ClientHello {
  hello.skip(2 + 32); // legacy_version, random
  hello.vector(1); // legacy_session_id
  hello.vector(2); // cipher_suites
  hello.vector(1); // legacy_compression_methods
  let serverName: string | undefined;
  let alpn: string[] | undefined;
  // TLS 1.2 lets a client leave the extensions out altogether (RFC 5246 section 7.4.1.2).
  const extensions = hello.rest === 0 ? hello : hello.vector(2);
  while (extensions.rest > 0) {
    const type = extensions.uint(2);
    const body = extensions.vector(2);
    if (type === serverNameExtension) {
      if (serverName !== undefined) throw new Malformed('two server_name extensions');
      serverName = readServerName(body);
    } else if (type === alpnExtension) {
      if (alpn !== undefined) throw new Malformed('two ALPN extensions');
      alpn = readAlpn(body);
    }
  }
  if (hello.rest > 0) throw new Malformed(`${hello.rest} bytes after the extensions`);
  return { state: 'complete', serverName: serverName ?? '', alpn: alpn ?? [] };
}

/** RFC 6066 section 3: one host_name, in ASCII, without a trailing dot. */
function readServerName(body: Reader): string {
  const names = body.vector(2);
  const type = names.uint(1);
  const name = names.vector(2).text();
  if (type !== 0 || names.rest > 0 || body.rest > 0)
    throw new Malformed('a server_name that is not one host_name');
  if (!/^[A-Za-z0-9_.-]{1,253}$/.test(name)) throw new Malformed('a server name that is not a host name');
  return name.toLowerCase();
}

/** RFC 7301 section 3.1. */
function readAlpn(body: Reader): string[] {
  const names = body.vector(2);
  const protocols: string[] = [];
  while (names.rest > 0) {
    const protocol = names.vector(1).text();
    if (protocol === '') throw new Malformed('an empty ALPN protocol');
    protocols.push(protocol);
  }
  if (protocols.length === 0 || body.rest > 0) throw new Malformed('an empty ALPN list');
  return protocols;
}

/** Reads forward and refuses to pass the end. */
class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get rest(): number {
    return this.#bytes.length - this.#at;
  }

  skip(bytes: number): void {
    if (bytes > this.rest) throw new Malformed('a length that passes the end');
    this.#at += bytes;
  }

  uint(bytes: 1 | 2): number {
    const start = this.#at;
    this.skip(bytes);
    return this.#bytes.readUIntBE(start, bytes);
  }

  /** What follows a length of `lengthBytes` bytes. */
  vector(lengthBytes: 1 | 2): Reader {
    const length = this.uint(lengthBytes);
    const start = this.#at;
    this.skip(length);
    return new Reader(this.#bytes.subarray(start, start + length));
  }

  text(): string {
    return this.#bytes.toString('latin1', this.#at);
  }
}
