import * as prom from 'prom-client';
import { invariant } from '../core/errors.ts';
import type { Counter, Metrics } from '../core/ports.ts';
import { maxMetricSeries } from './options.ts';

export interface RenderedMetrics extends Metrics {
  /** The text of `/metrics`. */
  render(): Promise<string>;
  readonly contentType: string;
}

/** A plain number in the hot path; prom-client sees it when scraped. */
class PlainCounter implements Counter {
  value = 0;

  add(amount = 1): void {
    this.value += amount;
  }
}

/** The counters of one metric by their label values, bounded. */
class Series {
  readonly labels: readonly string[];
  readonly #max: number;
  readonly #counters = new Map<
    string,
    { readonly values: readonly string[]; readonly counter: PlainCounter }
  >();
  readonly #other: { readonly values: readonly string[]; readonly counter: PlainCounter };

  constructor(labels: readonly string[], max: number) {
    this.labels = labels;
    this.#max = max;
    this.#other = { values: labels.map(() => 'other'), counter: new PlainCounter() };
  }

  counter(values: readonly string[]): Counter {
    invariant(
      values.length === this.labels.length,
      `expected ${this.labels.length} label values, got ${values.length}`,
    );
    const key = values.join('\0');
    const known = this.#counters.get(key);
    if (known) return known.counter;
    if (this.#counters.size >= this.#max) return this.#other.counter;
    const counter = new PlainCounter();
    this.#counters.set(key, { values, counter });
    return counter;
  }

  *read(): Generator<{ readonly values: readonly string[]; readonly value: number }> {
    for (const { values, counter } of this.#counters.values()) yield { values, value: counter.value };
    if (this.#other.counter.value > 0) yield { values: this.#other.values, value: this.#other.counter.value };
  }
}

/** The metrics of a process, with a registry of their own; memory, CPU and event loop lag are among them. */
export function createMetrics(maxSeries: number = maxMetricSeries): RenderedMetrics {
  const registry = new prom.Registry();
  const series = new Map<string, Series>();
  prom.collectDefaultMetrics({ register: registry });

  function seriesOf(name: string, help: string, labels: readonly string[]): Series {
    const known = series.get(name);
    if (known) {
      invariant(known.labels.join() === labels.join(), `metric ${name} asked for with other labels`);
      return known;
    }
    const made = new Series(labels, maxSeries);
    series.set(name, made);
    new prom.Counter({
      name,
      help,
      labelNames: [...labels],
      registers: [registry],
      collect() {
        this.reset();
        for (const { values, value } of made.read())
          this.inc(Object.fromEntries(labels.map((label, index) => [label, values[index] ?? ''])), value);
      },
    });
    return made;
  }

  return {
    contentType: registry.contentType,
    render: () => registry.metrics(),
    counter: (name, help) => seriesOf(name, help, []).counter([]),
    counters(name, help, labels) {
      const made = seriesOf(name, help, labels);
      return (...values) => made.counter(values);
    },
    gauge(name, help, read) {
      // A second one by this name replaces the first: after a reload the reader is a new one.
      registry.removeSingleMetric(name);
      new prom.Gauge({
        name,
        help,
        registers: [registry],
        collect() {
          this.set(readOrNaN(read));
        },
      });
    },
  };
}

/** One gauge whose source is going away must not take all metrics with it. */
function readOrNaN(read: () => number): number {
  try {
    return read();
  } catch {
    return Number.NaN;
  }
}
