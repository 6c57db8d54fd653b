import { safeText } from '../../core/bytes.ts';
import type { Timer } from '../../core/clock.ts';
import type { Client, LiveChannel } from './client.ts';
import { HeldMessages, type Outbound } from './held-messages.ts';
import type { Hub } from './hub.ts';
import type { Pieces } from './messages.ts';

export interface OutboxPorts {
  /** Whether the host's side stands, and registrations with it. */
  readonly ready: boolean;
  /** It is being reached, and that not for too long yet. */
  readonly worthWaiting: boolean;
  write(pieces: Pieces): void;
  /** Its own client's channel, and one that takes less than is sent to it. */
  readonly own: LiveChannel;
  slowBy(other: LiveChannel): void;
}

/**
 * A client's permitted messages on the last step to the host. They wait, in order and within bounds, while the host's
 * side is being reached anew, or that of whoever they are for: the host drops what it has nobody for.
 */
export class Outbox {
  readonly #hub: Hub;
  readonly #client: Client;
  readonly #ports: OutboxPorts;
  readonly #held: HeldMessages<Client>;
  #timer: Timer | undefined;

  constructor(hub: Hub, client: Client, ports: OutboxPorts) {
    this.#hub = hub;
    this.#client = client;
    this.#ports = ports;
    this.#held = new HeldMessages(hub.options.heldBytes, hub.options.heldMessages);
  }

  get heldMessages(): number {
    return this.#held.size;
  }

  get heldBytes(): number {
    return this.#held.bytes;
  }

  send(message: Outbound<Client>): void {
    if (this.#held.size === 0 && this.#mayGo(message)) return this.#write(message);
    if (!this.#ports.ready && !this.#ports.worthWaiting)
      return this.#refuse(message, 'the AutoGen host can’t be reached now');
    if (!this.#held.add(message, this.#hub.ports.clock.monotonic()))
      return this.#refuse(message, this.#fullText());
    this.#hub.holding.add(this.#ports.own);
    this.#arm();
  }

  /** Something that they waited for may have changed. */
  flush(): void {
    for (let first = this.#held.first; first && this.#mayGo(first); first = this.#held.first) {
      this.#held.shift();
      // Its caller may have been answered since: too late is never.
      if (first.pending === undefined || this.#hub.pending.get(first.pending.id)) this.#writeHeld(first);
    }
    this.#arm();
  }

  /** Nothing of it waits any longer, with an answer for those who wait for one. */
  refuseAll(text: string): void {
    for (const message of this.#held.takeAll()) this.#refuse(message, text);
    this.#arm();
  }

  /** The client is gone: there is nobody to tell. */
  close(): void {
    for (const { operation } of this.#held.takeAll()) this.#hub.count(operation, 'not-held');
    this.#arm();
  }

  #mayGo(message: Outbound<Client>): boolean {
    if (!this.#ports.ready) return false;
    if (this.#hub.troubled.size === 0) return true;
    for (const client of this.#recipients(message)) if (client.channel?.reaching) return false;
    return true;
  }

  /** The rules may have changed while it was held. */
  #writeHeld(message: Outbound<Client>): void {
    const denied = message.denied();
    if (denied === undefined) return this.#write(message);
    this.#hub.count(message.operation, 'denied');
    if (message.pending) this.#hub.fail(message.pending, denied.text);
    this.#hub.notice(this.#client, denied);
  }

  #write(message: Outbound<Client>): void {
    if (message.pending) message.pending.written = true;
    this.#hub.count(message.operation, 'passed');
    this.#ports.write(message.pieces);
    if (this.#hub.troubled.size === 0) return;
    for (const { channel } of this.#recipients(message)) if (channel?.congested) this.#ports.slowBy(channel);
  }

  /** Those of ours that it is for, as far as can be known. */
  #recipients({ operation, pending, topicType }: Outbound<Client>): Iterable<Client> {
    if (operation === 'publish') return this.#hub.registry.recipients(topicType);
    const owner = this.#hub.registry.ownerOf(pending?.agentType ?? '');
    return owner ? [owner] : [];
  }

  #refuse(message: Outbound<Client>, text: string): void {
    this.#hub.count(message.operation, 'not-held');
    if (message.pending) this.#hub.fail(message.pending, text);
    else
      this.#hub.notice(this.#client, {
        code: 'unavailable',
        text: `a publish to ${safeText(message.topicType, 128)} was dropped: ${text}`,
      });
  }

  #fullText(): string {
    const { heldBytes, heldMessages } = this.#hub.options;
    return `${this.#held.size} messages of ${this.#held.bytes} bytes wait for the AutoGen host, the most is ${heldMessages} of ${heldBytes} bytes`;
  }

  /** One timer, for the oldest. */
  #arm(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#held.size === 0) {
      this.#hub.holding.delete(this.#ports.own);
      return;
    }
    const { clock } = this.#hub.ports;
    const dueMs = this.#held.sinceMs + this.#hub.options.healForMs;
    this.#timer = clock.after(Math.max(0, dueMs - clock.monotonic()), () => this.#expire());
  }

  #expire(): void {
    const { healForMs } = this.#hub.options;
    const latestMs = this.#hub.ports.clock.monotonic() - healForMs;
    while (this.#held.size > 0 && this.#held.sinceMs <= latestMs) {
      const message = this.#held.shift();
      if (message) this.#refuse(message, `it could not be delivered within ${healForMs} ms`);
    }
    this.flush();
  }
}
