import type { CloseReason } from '../../core/session.ts';
import { lengthOf, type Pieces } from './messages.ts';
import type { Pending } from './pending-requests.ts';

/** A message that was permitted and is not with the host yet. */
export interface Outbound<Client extends object> {
  readonly pieces: Pieces;
  readonly operation: 'rpc' | 'publish';
  /** Of an RPC. */
  readonly pending: Pending<Client> | undefined;
  /** The topic of a publish. */
  readonly topicType: string;
  /** Why the rules of now forbid it; undefined where they don't. */
  denied(): (CloseReason & { readonly decision: string }) | undefined;
}

interface Entry<Client extends object> {
  readonly message: Outbound<Client>;
  readonly bytes: number;
  readonly heldAtMs: number;
}

/** One client's messages while they can't go on, in order. */
export class HeldMessages<Client extends object> {
  readonly #maxBytes: number;
  readonly #maxMessages: number;
  #entries: Entry<Client>[] = [];
  #bytes = 0;

  constructor(maxBytes: number, maxMessages: number) {
    this.#maxBytes = maxBytes;
    this.#maxMessages = maxMessages;
  }

  get size(): number {
    return this.#entries.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get first(): Outbound<Client> | undefined {
    return this.#entries[0]?.message;
  }

  /** When the first one came. */
  get sinceMs(): number {
    return this.#entries[0]?.heldAtMs ?? Number.POSITIVE_INFINITY;
  }

  /** Copies the bytes. False where there is no room. */
  add(message: Outbound<Client>, nowMs: number): boolean {
    const byteLength = lengthOf(message.pieces);
    if (this.#entries.length >= this.#maxMessages || this.#bytes + byteLength > this.#maxBytes) return false;
    const bytes = Buffer.allocUnsafeSlow(byteLength);
    let at = 0;
    for (const piece of message.pieces) {
      bytes.set(piece, at);
      at += piece.byteLength;
    }
    this.#entries.push({ message: { ...message, pieces: [bytes] }, bytes: byteLength, heldAtMs: nowMs });
    this.#bytes += byteLength;
    return true;
  }

  shift(): Outbound<Client> | undefined {
    const entry = this.#entries.shift();
    if (entry) this.#bytes -= entry.bytes;
    return entry?.message;
  }

  takeAll(): Outbound<Client>[] {
    const all = this.#entries.map(e => e.message);
    this.#entries = [];
    this.#bytes = 0;
    return all;
  }
}
