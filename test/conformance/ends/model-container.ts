import { join } from "node:path";
import { readConfig } from "#runtime/container/config.ts";
import { shutDown } from "#runtime/container/shutdown.ts";
import type { Callback } from "#runtime/delivery/callbacks/callback.ts";
import { Delivery } from "#runtime/delivery/delivery.ts";
import { Outbox } from "#runtime/delivery/outbox.ts";
import { outboxMigrations } from "#runtime/delivery/outbox-migrations.ts";
import type { Webhook } from "#runtime/delivery/webhooks/webhook.ts";
import { Dispatcher } from "#runtime/dispatch/dispatcher.ts";
import { JobEvents } from "#runtime/dispatch/job-events.ts";
import { JobRunner } from "#runtime/dispatch/job-runner.ts";
import { LeaseKeeper } from "#runtime/dispatch/lease-keeper.ts";
import { Settler } from "#runtime/dispatch/settler.ts";
import type { Registry } from "#runtime/job-types/registry.ts";
import { type Database, databaseFile, openDatabase } from "#runtime/lib/database/database.ts";
import type { Logger } from "#runtime/observe/log.ts";
import { createMetrics } from "#runtime/observe/metrics/metrics.ts";
import { MetricsRegistry } from "#runtime/observe/metrics/registry.ts";
import { noTracing } from "#runtime/observe/tracing/tracing.ts";
import { worker } from "../sources/harness.ts";
import type { Side } from "../sources/index.ts";
import type { Chance } from "./chance.ts";
import { HeldTokens, Life, type SourceTroubles, sourceOver } from "./ports.ts";
import { ScriptedExecutor } from "./scripted-executor.ts";

/*
 * A container of the product's own parts, from the loop that takes jobs to the outbox: its executor is scripted, its source, app and
 * disk are behind ports that a kill cuts off, and what is under way then stays where it is, as in a process that died.
 */
export interface ModelContainerOptions {
  readonly name: string;
  readonly folder: string;
  /** As `HeldTokens` has them, of the containers that were on the folder before too. */
  readonly ends: Set<string>;
  readonly side: Side;
  readonly registry: Registry;
  readonly callback: Callback;
  readonly webhook: Pick<Webhook, "send">;
  readonly troubles: SourceTroubles;
  readonly chance: Chance;
  readonly log: Logger;
  readonly nowMs: () => number;
}

const abortGraceSeconds = 0.02;
const unused = () => Promise.reject(new Error("no attempt of these has a use for it"));

export class ModelContainer {
  readonly folder: string;
  readonly held: HeldTokens;
  readonly dispatcher: Dispatcher;
  readonly delivery: Delivery;
  readonly executor: ScriptedExecutor;
  readonly #life: Life;
  readonly #parts: ReturnType<typeof wire>;
  readonly #options: ModelContainerOptions;
  readonly #database: Database;

  private constructor(options: ModelContainerOptions, database: Database) {
    this.#life = new Life();
    this.#database = database;
    this.#options = options;
    this.folder = options.folder;
    this.held = new HeldTokens(options.ends);
    this.#parts = wire(options, database, this.#life, this.held);
    this.dispatcher = this.#parts.dispatcher;
    this.delivery = this.#parts.delivery;
    this.executor = this.#parts.executor;
  }

  static async start(options: ModelContainerOptions): Promise<ModelContainer> {
    const database = await openDatabase(databaseFile(options.folder), outboxMigrations);
    const container = new ModelContainer(options, database);
    await container.delivery.start();
    container.dispatcher.start();
    return container;
  }

  /** Nothing waits for its delivery, and nothing runs. */
  get isAtRest(): boolean {
    return this.delivery.pending === 0 && this.dispatcher.activeJobs === 0;
  }

  /** The executor is to be started anew: what it runs goes back to its queue. */
  release(): void {
    this.#parts.runner.release();
  }

  /** What waits for a moment is due now. */
  async nudge(): Promise<void> {
    this.dispatcher.wake();
    await this.delivery.tryNow();
  }

  /** As by SIGKILL, of the container and its executor. */
  async kill(): Promise<void> {
    this.#life.isOver = true;
    void this.#parts.executor.stop();
    for (const keeper of this.#parts.keepers.values()) keeper.close();
    void this.dispatcher.stop();
    // Who is dead writes nothing any more: its database is closed under it.
    this.delivery.stop(0).catch(() => undefined);
    await this.#close();
  }

  /** As by SIGTERM. */
  async stop(): Promise<void> {
    const { folder, log } = this.#options;
    const config = {
      ...readConfig({ DATA_DIR: folder }, () => "model"),
      shutdownGraceSeconds: 0.01,
      abortGraceSeconds,
    };
    const calls = { active: 0, close: () => undefined, settled: async () => undefined, release: () => undefined };
    const { keepers, runner, dispatcher, delivery, executor } = this.#parts;
    const executors = new Map([[executor.worker, executor]]);
    const offers = { stop: async () => undefined };
    const own = { config, log, calls, keepers, runner, dispatcher, delivery, executors, offers };
    await shutDown({ ...own, heartbeat: null, closeServer: undefined, close: () => this.#close() });
    this.#life.isOver = true;
  }

  async #close(): Promise<void> {
    await this.#options.side.source.close();
    this.#database.close();
  }
}

function wire(options: ModelContainerOptions, database: Database, life: Life, held: HeldTokens) {
  const { name, folder, side, registry, callback, webhook, chance, log, nowMs, troubles } = options;
  const source = held.watch(sourceOver(life, side.source, chance, troubles));
  const metrics = createMetrics(new MetricsRegistry({ jobTypes: [], log }));
  const events = new JobEvents();
  const keepers = new Map([[source.name, new LeaseKeeper(source, log, metrics)]]);
  const shared = { keepers, events, log, metrics, nowMs, tracing: noTracing, random: chance.random };
  const sources = new Map([[source.name, source]]);
  const outbox = life.port(new Outbox(database, { owner: `${name}/${Math.random()}`, nowMs }));
  const store = { name: "none", put: async () => undefined, url: async () => null, removeJob: async () => 0 };
  const delivery = new Delivery({
    ...shared,
    ...{ sources, outbox, store, workerId: name, concurrency: 2 },
    callback: life.port(callback),
    webhook: life.port({ ...webhook, sendBody: unused }),
    stored: { address: async () => null, read: async () => null },
  });
  const settler = new Settler({ ...shared, registry, delivery, restore: unused });
  const executor = new ScriptedExecutor(worker, log, chance);
  const executors = new Map([[worker, executor]]);
  const runner = new JobRunner({
    ...shared,
    ...{ registry, executors, delivery, settler, abortGraceSeconds, workFolder: join(folder, "work") },
    inputs: { fetch: unused },
    calls: { callFrom: unused, has: () => false },
    answerQuery: unused,
    attemptLogs: { follow: unused, keepBy: () => undefined },
    enqueueChild: unused,
  });
  const dispatcher = new Dispatcher({ ...shared, sources: [source], executors, runner, settler });
  return { delivery, dispatcher, executor, runner, keepers };
}
