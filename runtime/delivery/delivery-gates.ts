import { CodedError, PermanentError, retryMeaning } from "#contract/errors.ts";
import { steadyNowMs } from "#runtime/lib/steady-clock.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { Metrics } from "#runtime/observe/metrics/metrics.ts";
import { recordFailure } from "#runtime/observe/metrics/ports.ts";
import type { Callback } from "./callbacks/callback.ts";
import { destinationOf, missingDestination } from "./destination.ts";
import { OutageGate, probeMs } from "./outage-gate.ts";
import { type OutboxRow, stepOf } from "./outbox-row.ts";
import { retryPauseMs } from "./retry-pause.ts";
import type { AssetStore } from "./stores/asset-store.ts";
import { isMendable } from "./waits.ts";
import { webhookHostOf } from "./webhooks/webhook-row.ts";

/*
 * What rows are delivered to, and whether it is known to be away: a gate before each, so that what is away keeps up what needs it
 * and nothing else.
 *
 *   the store       rows whose files are to be stored     the same, where they were made for an app's store and none is configured
 *   the callback    rows whose end is to be reported      the same, where it was made for a callback and none is configured
 *   a webhook       rows for that host
 *
 * A step that needs one goes `through` its gate. How it ends tells the gate, and through it the other rows: they wait while it is
 * closed, and `onOpened` lets them go.
 */
export interface DeliveryGatesOptions {
  readonly store: Pick<AssetStore, "name">;
  readonly callback: Pick<Callback, "name">;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly random: () => number;
  /** The store or the app is back: rows that wait for it can go. */
  onOpened(): void;
}

/** The row has to wait for its store or the app, which is known to be away. */
export class Postponed extends Error {
  readonly waitMs: number;
  readonly gate: OutageGate;
  readonly wasTried: boolean;

  constructor(waitMs: number, gate: OutageGate, cause?: unknown) {
    super("postponed", { cause });
    this.waitMs = waitMs;
    this.gate = gate;
    this.wasTried = cause !== undefined;
  }
}

export interface GateWait {
  readonly waitMs: number;
  readonly reason: unknown;
}

/** Below this many jobs that fail, each has its own pauses. */
const outageThreshold = 3;
/** Beyond so many hosts, those that answer are forgotten. */
const maxWebhookGates = 1000;

export class DeliveryGates {
  readonly #options: DeliveryGatesOptions;
  readonly #store: OutageGate;
  readonly #callback: OutageGate;
  /** Before what was made for an app's storage, or for a callback, and has none here: others go past them. */
  readonly #noStore: OutageGate;
  readonly #noCallback: OutageGate;
  /** By host: one that is away is nobody else's matter. */
  readonly #webhooks = new Map<string, OutageGate>();

  constructor(options: DeliveryGatesOptions) {
    this.#options = options;
    this.#store = this.#newGate();
    this.#callback = this.#newGate();
    this.#noStore = this.#newGate();
    this.#noCallback = this.#newGate();
  }

  /** True while the app does not take callbacks. */
  get isAppAway(): boolean {
    return this.#callback.isClosed;
  }

  /** Whoever waits for the store or the app can go on: the next row of each finds out whether that is of use. */
  letThrough(): void {
    for (const gate of [this.#store, this.#callback, this.#noStore, this.#noCallback, ...this.#webhooks.values()])
      gate.letThrough();
  }

  /**
   * How long each of the rows has to wait, and for what. For what is away, the first one probes and the others wait.
   * @param needsNobody whether what is left of the row needs none of the others' answers
   * @param probed by rows before these; it grows
   */
  waitsOf(
    rows: readonly OutboxRow[],
    needsNobody: (row: OutboxRow) => boolean,
    probed = new Set<OutageGate>(),
  ): readonly GateWait[] {
    return rows.map((row) => {
      const gate = this.#gateOf(row);
      const { reason } = gate;
      if (needsNobody(row)) return { waitMs: 0, reason };
      // It may have opened since.
      if (gate.isClosed && probed.has(gate)) return { waitMs: probeMs, reason };
      if (gate.isClosed && gate.waitMs === 0) probed.add(gate);
      return { waitMs: gate.waitMs, reason };
    });
  }

  /** True when what the row's next step needs is closed by what only a person can mend. */
  needsMending(row: OutboxRow): boolean {
    return this.#gateOf(row).needsMending;
  }

  /**
   * One step that depends on somebody else, and what its failure means for the other rows.
   * @throws Postponed, unless the row is to be tried again by its own clock; what the step throws
   */
  async through(row: OutboxRow, step: () => Promise<void>): Promise<void> {
    const gate = this.#gateOf(row);
    const waitMs = gate.enter(row.id);
    if (waitMs > 0) throw new Postponed(waitMs, gate);
    try {
      this.#assertDestination(row);
      await step();
    } catch (error) {
      // Who refuses one thing for good is there for the others.
      if (error instanceof PermanentError) this.#opened(gate);
      else this.#failed(gate, row, error);
      throw error;
    }
    this.#opened(gate);
  }

  /** The gate before the row's next step. */
  #gateOf(row: OutboxRow): OutageGate {
    if (row.entry.forWebhook) return this.#webhookGate(webhookHostOf(row.entry));
    const isMissing = this.#missingDestination(row) !== null;
    if (stepOf(row) === "files") return isMissing ? this.#noStore : this.#store;
    return isMissing ? this.#noCallback : this.#callback;
  }

  #newGate(): OutageGate {
    return new OutageGate({ threshold: outageThreshold, nowMs: steadyNowMs, random: this.#options.random });
  }

  #webhookGate(host: string): OutageGate {
    const known = this.#webhooks.get(host) ?? this.#newGate();
    this.#webhooks.set(host, known);
    if (this.#webhooks.size > maxWebhookGates) {
      const open = [...this.#webhooks].filter(([name, gate]) => name !== host && !gate.isClosed);
      for (const [name] of open) this.#webhooks.delete(name);
    }
    return known;
  }

  #missingDestination(row: OutboxRow): CodedError | null {
    return missingDestination(stepOf(row), row.entry.madeFor, destinationOf(this.#options));
  }

  /** @throws RetryableError STORAGE_REFUSED, CALLBACK_REFUSED for what was made for an app that is not configured here */
  #assertDestination(row: OutboxRow): void {
    const missing = this.#missingDestination(row);
    if (missing === null) return;
    recordFailure(this.#options.metrics, stepOf(row) === "files" ? "store" : "callback", missing);
    throw missing;
  }

  /** @throws Postponed unless the row is to be tried again by its own clock */
  #failed(gate: OutageGate, row: OutboxRow, error: unknown): void {
    const { log, random } = this.#options;
    const meaning = retryMeaning(error);
    const wasClosed = gate.isClosed;
    const waitMs = gate.failed(row.id, {
      delaySeconds: typeof meaning === "object" ? meaning.delaySeconds : undefined,
      needsMending: isMendable(error),
      error,
    });
    if (waitMs === null) return;
    if (!wasClosed) log.warn({ error }, "finished jobs wait: what they are delivered to is away or refuses them");
    // An answer, unlike silence, may be about this job alone: the next time another one goes first.
    const ownMs = wasAnswered(error) ? retryPauseMs(row.tries + 1, random) : 0;
    throw new Postponed(waitMs + ownMs, gate, error);
  }

  #opened(gate: OutageGate): void {
    if (!gate.succeeded()) return;
    this.#options.log.info({}, "deliveries get through again");
    this.#options.onOpened();
  }
}

/** True for an error that an answer caused: its details say which. */
function wasAnswered(error: unknown): boolean {
  return error instanceof CodedError && error.details !== undefined;
}
