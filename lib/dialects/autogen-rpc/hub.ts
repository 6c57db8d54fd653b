import { safeText } from '../../core/bytes.ts';
import type { AcceptedCall } from '../../core/ports.ts';
import type { CloseReason } from '../../core/session.ts';
import type { Client, LiveChannel } from './client.ts';
import { Clients } from './clients.ts';
import { errorResponse } from './messages.ts';
import type { Fate, Operation } from './metrics.ts';
import type { AutogenOptions, AutogenPorts } from './options.ts';
import { type Pending, PendingRequests } from './pending-requests.ts';
import { Registry } from './registry.ts';
import { sweep } from './sweep.ts';

/** Names at the host that are to be swept, once somebody reaches it; the first one makes room. */
const maxUnswept = 1_000;
/** Of them with one channel that is opened: it is somebody else's connection. */
const sweepsAtATime = 16;

/** What the clients of one target have in common. */
export class Hub {
  readonly options: AutogenOptions;
  readonly ports: AutogenPorts;
  readonly registry: Registry<Client> = new Registry<Client>();
  readonly clients: Clients;
  readonly pending: PendingRequests<Client>;
  /** Channels with messages that wait for somebody to be reached. */
  readonly holding: Set<LiveChannel> = new Set();

  /** Channels that are not reached, or take less than is sent to them. While there are none, nobody looks for whom a message is. */
  readonly troubled: Set<LiveChannel> = new Set();
  readonly #unswept = new Set<string>();
  #sweeps = 0;

  constructor(options: AutogenOptions, ports: AutogenPorts) {
    this.options = options;
    this.ports = ports;
    this.clients = new Clients(options, ports.clock, client => this.#forgotten(client));
    this.pending = new PendingRequests<Client>(
      {
        perCaller: options.pendingRequests,
        inAll: options.pendingRequestsInAll,
        timeoutMs: options.requestTimeoutMs,
      },
      ports.clock,
      late => this.#late(late),
    );
  }

  count(operation: Operation, fate: Fate): void {
    this.ports.metrics.message(this.options.target, operation, fate);
  }

  /** One line to the person at the other end; a flood of causes makes no flood of lines. */
  notice(client: Client, reason: CloseReason): void {
    if (client.notices.take(this.ports.clock.monotonic())) client.call.notice(reason);
  }

  /** Closes it, and tells its caller why there will be no other answer. */
  fail(pending: Pending<Client>, text: string): void {
    if (this.pending.close(pending)) tell(pending, text);
  }

  /** Those that went to the host for this client, or from it to the host, and can't be answered any more. */
  failWrittenFor(client: Client, text: string): void {
    const lost = this.pending.closeAll(
      p => p.written && (p.callee ?? this.registry.ownerOf(p.agentType)) === client && p.caller !== client,
    );
    for (const pending of lost) tell(pending, text);
  }

  /** Somebody was reached, or is gone: what waited for that goes on. */
  changed(): void {
    for (const channel of [...this.holding]) channel.flush();
  }

  /** Takes back what a client registered; it is told nothing of it. */
  disown(client: Client, agentType: string): void {
    client.types.delete(agentType);
    this.registry.disown(client, agentType);
  }

  unsubscribe(client: Client, id: string): void {
    const subscription = client.subscriptions.get(id);
    if (!subscription) return;
    client.subscriptions.delete(id);
    this.registry.unsubscribe(client, subscription);
  }

  /** The host is made to forget the agent types and subscriptions that came in a name that has no channel. */
  sweep(call: AcceptedCall, hostId: string): void {
    this.#sweeps += 1;
    void sweep(this.ports, call, hostId).then(swept => {
      this.#sweeps -= 1;
      if (swept) return;
      // Its connection to the host went with the client: the next one that comes has another.
      const [oldest] = this.#unswept;
      if (this.#unswept.size >= maxUnswept && oldest !== undefined) this.#unswept.delete(oldest);
      this.#unswept.add(hostId);
    });
  }

  /** The host is reached by this call: what could not be swept before is. */
  sweepLeft(call: AcceptedCall): void {
    for (const hostId of [...this.#unswept].slice(0, sweepsAtATime)) {
      this.#unswept.delete(hostId);
      this.sweep(call, hostId);
    }
  }

  /** The host may not yet have forgotten what nobody has any more. */
  get sweeping(): boolean {
    return this.#sweeps > 0;
  }

  close(): void {
    this.pending.stop();
    for (const client of [...this.clients.all()]) this.clients.forget(client);
  }

  #forgotten(client: Client): void {
    this.registry.drop(client);
    if (client.loose) this.sweep(client.call, client.hostId);
  }

  #late(pending: Pending<Client>): void {
    const { requestTimeoutMs } = this.options;
    tell(
      pending,
      `agent type ${safeText(pending.agentType, 128)} has not answered within ${requestTimeoutMs} ms`,
    );
  }
}

function tell({ caller, requestId }: Pending<Client>, text: string): void {
  caller.channel?.answer(errorResponse(requestId, text));
}
