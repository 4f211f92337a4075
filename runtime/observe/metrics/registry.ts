import type { Registry as ClientRegistry } from "prom-client";
import type { Logger } from "../log.ts";

/*
 * The metrics of one container, and the only file that knows the Prometheus client: the parts of the runtime see the
 * small instruments below.
 *
 *   recorded when it happens   counter, histogram
 *   read at each scrape        gauge, total: set by the functions that are given to `atScrape`
 *
 * The client takes as long to load as a good part of the container's start, so `load` is called by whoever serves the
 * metrics, when the container is up. What is recorded before is kept and added then.
 */
export type Labels<Label extends string> = Readonly<Record<Label, string>>;

export interface Counter<Label extends string> {
  add(labels: Labels<Label>, amount?: number): void;
}

export interface Histogram<Label extends string> {
  observe(labels: Labels<Label>, value: number): void;
}

/** Values that somebody else keeps. `clear` forgets those of all labels. */
export interface Reading<Label extends string> {
  set(labels: Labels<Label>, value: number): void;
  clear(): void;
}

export interface Description<Label extends string = string> {
  readonly name: string;
  readonly help: string;
  readonly labels: readonly Label[];
}

export interface HistogramDescription<Label extends string = string> extends Description<Label> {
  /** Upper bounds, growing. */
  readonly buckets: readonly number[];
}

export interface KnownMetric extends Description {
  readonly kind: "counter" | "gauge" | "histogram";
}

export interface RegistryOptions {
  /** A label `type` with any other value becomes "unknown". */
  readonly jobTypes: readonly string[];
  readonly log: Logger;
}

type Client = typeof import("prom-client");
type RecordValue = (labels: Labels<string>, value: number) => void;

interface ClientSettings {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
  readonly registers: ClientRegistry[];
}

/** What one instrument keeps until the client is loaded; more is let go, for a process that never loads it. */
const maxWaiting = 1000;
/** Different stages, models and queues that are kept apart. */
const maxValues = 100;
/** The event loop's delay is sampled this often; each sample is a wake-up of a process at rest. */
const eventLoopSampleMs = 20;

export class MetricsRegistry {
  readonly #jobTypes: Set<string>;
  readonly #log: Logger;
  readonly #known: KnownMetric[] = [];
  readonly #makers: ((client: Client, registry: ClientRegistry) => void)[] = [];
  readonly #values = new Set<string>();
  readonly #readers: (() => Promise<void> | void)[] = [];
  #loading: Promise<ClientRegistry> | null = null;
  #scrape: Promise<string> | null = null;

  constructor({ jobTypes, log }: RegistryOptions) {
    this.#jobTypes = new Set(jobTypes);
    this.#log = log;
  }

  /** What is made here; the client's own metrics of the process (`process_…`, `nodejs_…`) come on top. */
  get known(): readonly KnownMetric[] {
    return this.#known;
  }

  counter<const Label extends string>(description: Description<Label>): Counter<Label> {
    const record = this.#recorded("counter", description, ({ Counter }, settings) => {
      const counter = new Counter<string>(settings);
      return (labels, amount) => counter.inc(labels, amount);
    });
    return { add: (labels, amount = 1) => record(labels, amount) };
  }

  histogram<const Label extends string>(description: HistogramDescription<Label>): Histogram<Label> {
    const buckets = [...description.buckets];
    const record = this.#recorded("histogram", description, ({ Histogram }, settings) => {
      const histogram = new Histogram<string>({ ...settings, buckets });
      return (labels, value) => histogram.observe(labels, value);
    });
    return { observe: record };
  }

  gauge<const Label extends string>(description: Description<Label>): Reading<Label> {
    return this.#read("gauge", description, ({ Gauge }, settings) => {
      const gauge = new Gauge<string>(settings);
      // The client begins one without labels at 0, which is a claim where nothing is known yet.
      const clear = () => (settings.labelNames.length === 0 ? gauge.remove() : gauge.reset());
      clear();
      return { set: (labels, value) => gauge.set(labels, value), clear };
    });
  }

  /** A counter whose count somebody else keeps. */
  total<const Label extends string>(description: Description<Label>): Reading<Label> {
    return this.#read("counter", description, ({ Counter }, settings) => {
      const counter = new Counter<string>(settings);
      return {
        set(labels, value) {
          counter.remove(labels);
          counter.inc(labels, value);
        },
        clear: () => counter.reset(),
      };
    });
  }

  get jobTypes(): readonly string[] {
    return [...this.#jobTypes];
  }

  /** A job type that came after the start. */
  addJobType(type: string): void {
    this.#jobTypes.add(type);
  }

  /** `read` sets gauges and totals before each scrape. One that fails costs its own values and is logged. */
  atScrape(read: () => Promise<void> | void): void {
    this.#readers.push(read);
  }

  /** Loads the client, once; further calls wait for the first. */
  async load(): Promise<void> {
    await this.#client();
  }

  /** The metrics in Prometheus' text format 0.0.4. Scrapes at the same time share one answer. */
  text(): Promise<string> {
    this.#scrape ??= this.#render().finally(() => {
      this.#scrape = null;
    });
    return this.#scrape;
  }

  readonly contentType = "text/plain; version=0.0.4; charset=utf-8";

  async #render(): Promise<string> {
    const registry = await this.#client();
    await Promise.all(this.#readers.map((read) => this.#guarded(read)));
    return registry.metrics();
  }

  async #guarded(read: () => Promise<void> | void): Promise<void> {
    try {
      await read();
    } catch (error) {
      this.#log.warn({ error }, "some metrics could not be read");
    }
  }

  #client(): Promise<ClientRegistry> {
    this.#loading ??= import("prom-client").then((client) => {
      const registry = new client.Registry();
      for (const make of this.#makers) make(client, registry);
      client.collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: eventLoopSampleMs });
      return registry;
    });
    return this.#loading;
  }

  #recorded(
    kind: KnownMetric["kind"],
    description: Description,
    make: (client: Client, settings: ClientSettings) => RecordValue,
  ): RecordValue {
    const waiting: Parameters<RecordValue>[] = [];
    let record: RecordValue = (labels, value) => {
      if (waiting.length < maxWaiting) waiting.push([labels, value]);
    };
    this.#define(kind, description, (client, settings) => {
      record = make(client, settings);
      for (const [labels, value] of waiting.splice(0)) record(labels, value);
    });
    return (labels, value) => record(this.#bounded(labels), value);
  }

  #read(
    kind: KnownMetric["kind"],
    description: Description,
    make: (client: Client, settings: ClientSettings) => Reading<string>,
  ): Reading<string> {
    let reading: Reading<string> | undefined;
    this.#define(kind, description, (client, settings) => {
      reading = make(client, settings);
    });
    return {
      set: (labels, value) => reading?.set(this.#bounded(labels), value),
      clear: () => reading?.clear(),
    };
  }

  #define(
    kind: KnownMetric["kind"],
    { name, help, labels }: Description,
    define: (client: Client, settings: ClientSettings) => void,
  ): void {
    this.#known.push({ kind, name, help, labels });
    this.#makers.push((client, registry) => define(client, { name, help, labelNames: labels, registers: [registry] }));
  }

  /** The labels whose values come from elsewhere, made harmless: no queue and no handler makes series without end. */
  #bounded(labels: Labels<string>): Labels<string> {
    const { type, stage, model, queue } = labels;
    if (type !== undefined && !this.#jobTypes.has(type)) return { ...labels, type: "unknown" };
    if (stage !== undefined && !this.#isKnown(`stage ${stage}`)) return { ...labels, stage: "other" };
    if (model !== undefined && !this.#isKnown(`model ${model}`)) return { ...labels, model: "other" };
    if (queue !== undefined && !this.#isKnown(`queue ${queue}`)) return { ...labels, queue: "other" };
    return labels;
  }

  /** True for the values that came first. */
  #isKnown(value: string): boolean {
    if (this.#values.size < maxValues) this.#values.add(value);
    return this.#values.has(value);
  }
}
