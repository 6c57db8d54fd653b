// Header blocks (RFC 7541) that the load and the backend send. They are never read here: a gRPC message itself tells the
// backend what is wanted, and the load counts what comes back.

/** A field with incremental indexing (section 6.2.1): from then on, the peer knows it by a number. */
function indexed(name: string, value: string): Buffer {
  return literal(0x40, 6, name, value);
}

/** A field without indexing (section 6.2.2). */
function plain(name: string, value: string): Buffer {
  return literal(0x00, 4, name, value);
}

/** A field that no hop may index (section 6.2.3), as clients send credentials. */
function secret(name: string, value: string): Buffer {
  return literal(0x10, 4, name, value);
}

const staticNames: Readonly<Record<string, number>> = {
  ':authority': 1,
  ':path': 4,
  authorization: 23,
  'content-type': 31,
  'user-agent': 58,
};

function literal(pattern: number, prefixBits: number, name: string, value: string): Buffer {
  const place = staticNames[name];
  const parts =
    place === undefined ? [Buffer.from([pattern]), text(name)] : [integer(pattern, prefixBits, place)];
  return Buffer.concat([...parts, text(value)]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([integer(0, 7, bytes.byteLength), bytes]);
}

/** Section 5.1. */
function integer(pattern: number, prefixBits: number, value: number): Buffer {
  const most = 2 ** prefixBits - 1;
  if (value < most) return Buffer.from([pattern | value]);
  const bytes = [pattern | most];
  let rest = value - most;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  bytes.push(rest);
  return Buffer.from(bytes);
}

const postOverHttps = Buffer.from([0x83, 0x87]);
/** Of the dynamic table, the newest entry. */
const firstDynamic = 62;
export const callPath = '/bench.Echo/Call';

/** What a gRPC client sends with each call on one connection: in full at first, by numbers from then on. */
export class CallFields {
  readonly #pathVaries: boolean;
  readonly #pseudo: readonly Field[];
  readonly #ordinary: readonly Field[] = [
    ['te', 'trailers'],
    ['content-type', 'application/grpc'],
    ['user-agent', 'grpc-bench/1.0'],
    ['grpc-accept-encoding', 'identity, deflate, gzip'],
  ];
  #blocks: { readonly pseudo: Buffer; readonly ordinary: Buffer } | undefined;

  /** A path that differs from call to call is not worth remembering: it is sent as a literal. */
  constructor(authority: string, pathVaries = false) {
    this.#pathVaries = pathVaries;
    this.#pseudo = [
      [':authority', authority],
      ...(pathVaries ? [] : ([[':path', callPath]] satisfies Field[])),
    ];
  }

  /** Each block is to be sent, in order: the first one teaches the peer what the others rely on. */
  block({ path, token }: { readonly path?: string; readonly token?: string } = {}): Buffer {
    const { pseudo, ordinary } = this.#blocks ?? {
      pseudo: taught(this.#pseudo),
      ordinary: taught(this.#ordinary),
    };
    this.#blocks ??= this.#known();
    if (!this.#pathVaries && token === undefined) return Buffer.concat([postOverHttps, pseudo, ordinary]);
    return Buffer.concat([
      postOverHttps,
      pseudo,
      ...(this.#pathVaries ? [plain(':path', path ?? callPath)] : []),
      ordinary,
      ...(token === undefined ? [] : [secret('authorization', `Bearer ${token}`)]),
    ]);
  }

  /** Section 2.3.3: what was added first has the highest number. */
  #known(): { readonly pseudo: Buffer; readonly ordinary: Buffer } {
    const count = this.#pseudo.length + this.#ordinary.length;
    const numbers = Buffer.from(
      Array.from({ length: count }, (_, place) => 0x80 | (firstDynamic + count - 1 - place)),
    );
    return {
      pseudo: numbers.subarray(0, this.#pseudo.length),
      ordinary: numbers.subarray(this.#pseudo.length),
    };
  }
}

type Field = readonly [name: string, value: string];

function taught(fields: readonly Field[]): Buffer {
  return Buffer.concat(fields.map(([name, value]) => indexed(name, value)));
}

/** The backend's answer; without indexing, so that it says the same to peers that remember nothing. */
export const answerFields: Buffer = Buffer.concat([
  Buffer.from([0x88]),
  plain('content-type', 'application/grpc'),
]);
export const answerTrailers: Buffer = plain('grpc-status', '0');

/** A gRPC message: five bytes that say its size, then its bytes, of which the first says what is wanted. */
export function message(bytes: number, wanted: 'E' | 'S' | 'D', amount = 0): Buffer {
  const whole = Buffer.alloc(messageHeaderBytes + bytes, 0x5a);
  whole[0] = 0;
  whole.writeUInt32BE(bytes, 1);
  whole.write(wanted, messageHeaderBytes, 'latin1');
  if (wanted === 'D') whole.writeUIntBE(amount, messageHeaderBytes + 1, 6);
  return whole;
}

export const messageHeaderBytes = 5;
