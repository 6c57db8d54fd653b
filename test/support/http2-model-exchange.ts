import type { CloseReason } from '../../lib/core/session.ts';
import type { Field } from '../../lib/wire/hpack/fields.ts';
import type { Random } from './fuzz.ts';
import type { ModelPeer, PeerStream } from './http2-model-peer.ts';

/** One direction of one exchange: what was sent and what arrived, compared as it arrives. */
export class Flow {
  readonly #name: string;
  readonly #salt: number;
  readonly #sections: { readonly fields: readonly Field[]; readonly at: number }[] = [];
  #gotSections = 0;
  sent = 0;
  got = 0;
  ended = false;
  gotEnd = false;

  constructor(name: string, salt: number) {
    this.#name = name;
    this.#salt = salt;
  }

  /** All that was sent has arrived. */
  get level(): boolean {
    return this.got === this.sent && this.#gotSections === this.#sections.length;
  }

  get whole(): boolean {
    return this.level && this.ended && this.gotEnd;
  }

  get begun(): boolean {
    return this.#sections.length > 0;
  }

  sendFields(fields: readonly Field[]): void {
    this.#sections.push({ fields, at: this.sent });
  }

  /** The bytes at each place are of this flow and no other. */
  send(bytes: number): Buffer {
    const out = Buffer.allocUnsafe(bytes);
    for (let i = 0; i < bytes; i += 1) out[i] = this.#byteAt(this.sent + i);
    this.sent += bytes;
    return out;
  }

  receiveFields(fields: readonly Field[]): string | undefined {
    const section = this.#sections[this.#gotSections];
    this.#gotSections += 1;
    if (this.gotEnd) return `${this.#name}: a header section behind the end`;
    if (section === undefined) return `${this.#name}: a header section that was never sent`;
    if (section.at !== this.got)
      return `${this.#name}: a header section after ${this.got} B, not ${section.at}`;
    const wanted = JSON.stringify(section.fields.map(plain));
    const found = JSON.stringify(fields.map(plain));
    if (found !== wanted) return `${this.#name}: fields ${found}, not ${wanted}`;
    for (const [at, { name, sensitive }] of section.fields.entries())
      if (sensitive && !fields[at]?.sensitive) return `${this.#name}: ${name} may be indexed`;
    return undefined;
  }

  receive(bytes: Uint8Array): string | undefined {
    if (this.gotEnd) return `${this.#name}: bytes behind the end`;
    if (this.got + bytes.byteLength > this.sent) return `${this.#name}: bytes that were never sent`;
    for (let i = 0; i < bytes.byteLength; i += 1) {
      if (bytes[i] !== this.#byteAt(this.got + i)) return `${this.#name}: another byte at ${this.got + i}`;
    }
    this.got += bytes.byteLength;
    return undefined;
  }

  receiveEnd(): string | undefined {
    this.gotEnd = true;
    return this.ended && this.level ? undefined : `${this.#name}: an end too early, ${this.toString()}`;
  }

  toString(): string {
    const sections = `${this.#gotSections}/${this.#sections.length} sections`;
    return `${this.#name}: ${this.got}/${this.sent} B, ${sections}, end ${this.gotEnd}/${this.ended}`;
  }

  #byteAt(place: number): number {
    return Math.imul(place + this.#salt * 7_919, 0x9e3779b1) >>> 24;
  }
}

function plain({ name, value }: Field): string {
  return `${name}: ${value}`;
}

/** A request and its answer, with all that may excuse that they are not whole. */
export interface ModelExchange {
  readonly number: number;
  readonly method: string;
  readonly grpc: boolean;
  readonly client: ModelPeer;
  readonly near: PeerStream;
  readonly up: Flow;
  readonly down: Flow;
  readonly openedMs: number;
  upstream: ModelPeer | undefined;
  far: PeerStream | undefined;
  /** Queued and not yet sent: what may come next. */
  readonly upSaid: Said;
  readonly downSaid: Said;
  clientReset: number | undefined;
  upstreamReset: number | undefined;
  /** The relay told its owner that it answers this one itself. */
  refusal: CloseReason | undefined;
  /** Header sections of the relay's own have come. */
  answered: boolean;
  clientGot: number | undefined;
  upstreamGot: number | undefined;
  clientLost: boolean;
  /** Its connection upstream was lost, or its stream came after a GOAWAY. */
  upstreamLost: boolean;
}

export interface Said {
  head: boolean;
  end: boolean;
}

const names = [
  'x-a',
  'x-model',
  'grpc-tags',
  'accept',
  'x-request-id',
  'user-agent',
  'x-long-name-of-a-field',
];

/** Fields as they come: some again and again, some new, some long, some not to be indexed. */
export function someFields(random: Random, largeBytes = 0): Field[] {
  const fields = Array.from({ length: random.int(5) }, () => ({
    name: random.pick(names),
    value: random.pick([
      '1',
      'yes',
      `v${random.int(4)}`,
      `w${random.int(100_000)}`,
      'z'.repeat(random.size(600)) || '0',
    ]),
    sensitive: random.chance(0.1),
  }));
  if (largeBytes > 0) fields.push(field('x-large', 'ab'.repeat(largeBytes / 2)));
  return fields;
}

export function field(name: string, value: string): Field {
  return { name, value, sensitive: false };
}

/** What marks all that the model's upstream says: the relay's own answers lack it. */
export const origin = 'x-origin';
