// The table of metrics as a registry of prom-client, filled anew for every scrape.

import { setImmediate } from 'node:timers/promises';
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { METRICS, type MetricDefinition, type Snapshot } from './definitions.ts';

/** The metrics of one director. */
export class MetricsRegistry {
  readonly #registry = new Registry();
  readonly #metrics: readonly (readonly [MetricDefinition, Counter | Gauge])[];

  constructor() {
    this.#metrics = METRICS.map((definition) => [definition, this.#create(definition)]);
    // Memory, CPU time and event-loop lag of the process, under prom-client's names.
    collectDefaultMetrics({ register: this.#registry });
  }

  #create({ name, help, labels, type }: MetricDefinition): Counter | Gauge {
    const options = { name, help, labelNames: [...labels], registers: [this.#registry] };
    return type === 'counter' ? new Counter(options) : new Gauge(options);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /**
   * The text of a scrape. With thousands of servers it takes a second of work, so other work of the
   * thread gets its turn between any two metrics.
   */
  async render(snapshot: Snapshot): Promise<string> {
    for (const [definition, metric] of this.#metrics) {
      fill(definition, metric, snapshot);
      await setImmediate();
    }
    const texts: string[] = [];
    for (const { name } of this.#registry.getMetricsAsArray()) {
      texts.push(await this.#registry.getSingleMetricAsString(name));
      await setImmediate();
    }
    return `${texts.join('\n\n')}\n`;
  }
}

/** Counters are kept elsewhere: here they only get their values, from 0. */
function fill({ labels, read }: MetricDefinition, metric: Counter | Gauge, snapshot: Snapshot) {
  metric.reset();
  read(snapshot, (value, ...values) => {
    const labelled = Object.fromEntries(labels.map((label, index) => [label, values[index]]));
    // Every label set comes once, so adding to what reset() left is setting; a value that cannot
    // be (a counter read while it is zeroed) must not end the scrape.
    metric.inc(labelled, Math.max(0, value));
  });
}
