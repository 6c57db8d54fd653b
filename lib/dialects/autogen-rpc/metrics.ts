import type { Counter, Metrics } from '../../core/ports.ts';

export type Operation = 'register' | 'subscribe' | 'unsubscribe' | 'list' | 'publish' | 'rpc' | 'respond';

/**
 * What became of a message: it went on; the policy refused it; its sender was not the client's; it was too long; it
 * could not be held any longer; nobody had asked for it or would take it; it was malformed or over another bound.
 */
export type Fate =
  | 'passed'
  | 'denied'
  | 'spoofed'
  | 'too-large'
  | 'not-held'
  | 'unasked'
  | 'no-taker'
  | 'invalid';

/** What one target's dialect holds now. */
export interface Held {
  readonly agentTypes: number;
  readonly pendingRequests: number;
  readonly heldMessages: number;
  readonly heldBytes: number;
}

/** Of the whole process: its targets are labels, by their configured names. */
export class AutogenMetrics {
  readonly #messages: (...values: string[]) => Counter;
  readonly #heals: (...values: string[]) => Counter;
  readonly #sources = new Set<() => Held>();

  constructor(metrics: Metrics) {
    this.#messages = metrics.counters(
      'lockwire_autogen_messages_total',
      'AutoGen messages and calls, by target, operation and what became of them.',
      ['target', 'operation', 'fate'],
    );
    this.#heals = metrics.counters(
      'lockwire_autogen_channels_reopened_total',
      'Channels to an AutoGen host that were opened anew for a client whose own stayed open, by target.',
      ['target'],
    );
    const sum = (pick: (held: Held) => number) => () =>
      [...this.#sources].reduce((total, read) => total + pick(read()), 0);
    metrics.gauge(
      'lockwire_autogen_agent_types',
      'Agent types that are registered.',
      sum(h => h.agentTypes),
    );
    metrics.gauge(
      'lockwire_autogen_pending_rpcs',
      'RPCs without an answer yet.',
      sum(h => h.pendingRequests),
    );
    metrics.gauge(
      'lockwire_autogen_held_messages',
      'Messages held while a host is reached anew.',
      sum(h => h.heldMessages),
    );
    metrics.gauge(
      'lockwire_autogen_held_bytes',
      'Bytes of the messages that are held.',
      sum(h => h.heldBytes),
    );
  }

  message(target: string, operation: Operation, fate: Fate): void {
    this.#messages(target, operation, fate).add();
  }

  reopened(target: string): void {
    this.#heals(target).add();
  }

  /** Counts one target's in the gauges until the function that it gives is called. */
  watch(read: () => Held): () => void {
    this.#sources.add(read);
    return () => this.#sources.delete(read);
  }
}
