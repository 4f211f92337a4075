import type { ErrorReport } from "#contract/errors.ts";
import type { Handler } from "#contract/handler.ts";
import type { Job } from "#contract/job.ts";
import { AttemptLogs } from "#runtime/attempt-logs/attempt-logs.ts";
import { Calls } from "#runtime/calls/calls.ts";
import { ChatSessions } from "#runtime/chat-sessions/chat-sessions.ts";
import { connectDelivery, type Destinations } from "#runtime/delivery/connect-delivery.ts";
import { Delivery } from "#runtime/delivery/delivery.ts";
import { type Outbox, openOutbox } from "#runtime/delivery/outbox.ts";
import { Dispatcher } from "#runtime/dispatch/dispatcher.ts";
import { JobEvents } from "#runtime/dispatch/job-events.ts";
import { JobRunner } from "#runtime/dispatch/job-runner.ts";
import { LeaseKeeper } from "#runtime/dispatch/lease-keeper.ts";
import { Settler } from "#runtime/dispatch/settler.ts";
import type { Executor } from "#runtime/executor/parent/executor.ts";
import { connectHeartbeat } from "#runtime/heartbeat/connect-heartbeat.ts";
import type { Heartbeat } from "#runtime/heartbeat/heartbeat.ts";
import { connectInputs } from "#runtime/inputs/connect-inputs.ts";
import { connectUploads } from "#runtime/inputs/uploads/connect-uploads.ts";
import type { Registry } from "#runtime/job-types/registry.ts";
import { watchEventLoop } from "#runtime/observe/event-loop.ts";
import { GpuReading } from "#runtime/observe/gpu/gpu-reading.ts";
import type { Logger } from "#runtime/observe/log.ts";
import { createMetrics, type Metrics } from "#runtime/observe/metrics/metrics.ts";
import { measuredCallback, measuredStore } from "#runtime/observe/metrics/ports.ts";
import { readQueues } from "#runtime/observe/metrics/queue-reading.ts";
import { readAtScrape } from "#runtime/observe/metrics/readings.ts";
import { MetricsRegistry } from "#runtime/observe/metrics/registry.ts";
import { connectTracing } from "#runtime/observe/tracing/connect-tracing.ts";
import { tracedCallback, tracedStore } from "#runtime/observe/tracing/traced-ports.ts";
import type { Tracing } from "#runtime/observe/tracing/tracing.ts";
import type { AttemptReport } from "#runtime/offers/attempt-findings.ts";
import type { Offers } from "#runtime/offers/offers.ts";
import { connectPresets } from "#runtime/presets/connect-presets.ts";
import type { Presets } from "#runtime/presets/presets.ts";
import { PromptReader } from "#runtime/prompts/prompt-reader.ts";
import { connectSources, type Sources } from "#runtime/sources/connect-sources.ts";
import type { Lease } from "#runtime/sources/job-source.ts";
import { answerQueries } from "./answer-queries.ts";
import type { Config } from "./config.ts";
import { connectOffers } from "./connect-offers.ts";
import { type DataFolder, logsFolder } from "./data-folder.ts";
import { type Embedded, openEmbedded } from "./embedded.ts";
import { enqueueChild } from "./enqueue-child.ts";
import { watchFitness } from "./fitness-watch.ts";
import { FolderWatch } from "./folder-watch.ts";
import { startHousekeeping } from "./housekeeping.ts";
import { ModelFetches } from "./model-fetches.ts";
import { jobRemover } from "./remove-job.ts";
import { restoreJob } from "./restore-job.ts";
import type { Runtime } from "./runtime.ts";
import { shutDown } from "./shutdown.ts";
import { WarmUp } from "./warm-up.ts";

/*
 * The composition root: what a container consists of, made from its configuration and wired together. Nothing else in
 * the runtime makes its own collaborators.
 */

/** How long the stop waits for a collector. */
const spansLimitMs = 2000;

/**
 * Comes before the first delivery and the first job. What it resolves with closes its server, should the start fail
 * after it: called before the database is closed, as `closeServer` of `Runtime.stop` is.
 */
export type BeforeWork = (runtime: Runtime) => Promise<(() => Promise<void>) | undefined>;

/** What is there before all else is loaded. */
export interface Beginnings {
  readonly config: Config;
  readonly log: Logger;
  readonly registry: Registry;
  readonly folder: DataFolder;
  readonly executors: Map<string, Executor>;
  /** Takes back that this process has executors. */
  readonly forgetOwner: () => Promise<void>;
  readonly startedAtMs: number;
  readonly beforeWork: BeforeWork;
}

/**
 * Makes the rest of a container, and has it take jobs.
 * @throws CodedError CONFIG_INVALID (a wrong preset file), DATA_FOLDER_UNUSABLE, DISK_FULL
 */
export async function assemble(beginnings: Beginnings): Promise<Runtime> {
  const { config, log, registry, executors, startedAtMs } = beginnings;
  const [embedded, presets] = await Promise.all([openEmbedded(config, beginnings.folder), connectPresets(config, log)]);
  const stopRequest = Promise.withResolvers<void>();
  const sources = await connectSources(config.sources, contextOf({ config, registry, embedded, log, stopRequest }));
  const outbox = openOutbox(embedded.database, config, log);
  const metricsRegistry = new MetricsRegistry({ jobTypes: registry.types, log });
  const metrics = createMetrics(metricsRegistry);
  const tracing = await connectTracing(config, log);
  const destinations = connectDelivery(config, embedded, log);
  const kept = { outbox, presets, sessions: new ChatSessions(sources.sessions ?? embedded.source.sessions) };
  const own = { config, log, metrics, tracing, registry, embedded, destinations, executors, sources, ...kept };
  const parts = wire({ ...own, onHandler: ({ type }) => metricsRegistry.addJobType(type) });
  const { dispatcher, dataFolder } = parts;
  const queueReadings = readQueues(sources.queues, () => dispatcher.activeJobs > 0);
  const gpu = new GpuReading();
  const observed = { metrics, metricsRegistry, queueReadings, gpu };
  const prompts = promptReader(config, log);
  const { workerId } = config;
  readAtScrape(metricsRegistry, { ...parts, workerId, executors, outbox, queueReadings, gpu, sources: sources.byName });

  const housekeeping = { config, log, ...embedded, ...kept, uploads: parts.uploads };
  const watches = [startHousekeeping(housekeeping), watchEventLoop({ metrics, log })];

  const close = async () => {
    await tracing.stop(spansLimitMs);
    for (const stopWatching of watches) stopWatching();
    dataFolder.stop();
    parts.warmUp.stop();
    await parts.fetches.stop();
    for (const each of [prompts, presets]) each.stop();
    await Promise.all([parts.attemptLogs.flushed(), sources.close()]);
    await embedded.close();
    await beginnings.forgetOwner();
  };
  let heartbeat: Heartbeat | null = null;
  const stop: Runtime["stop"] = (closeServer) =>
    shutDown({ config, log, executors, ...parts, heartbeat, close, closeServer });
  const runtime: Runtime = {
    config,
    registry,
    queue: sources.queues,
    sources: sources.byName,
    ...filesOf(destinations, embedded),
    ...pickParts(parts),
    ...kept,
    executors,
    ...observed,
    prompts,
    startedAtMs,
    stopRequested: stopRequest.promise,
    startHeartbeat(port) {
      heartbeat = connectHeartbeat({ ...own, offers: parts.offers, workers: [...executors.keys()] }, port);
      heartbeat?.start();
    },
    restartExecutor: (executor) => restartExecutor(executor, parts, own),
    stop,
  };
  let closeServer: (() => Promise<void>) | undefined;
  try {
    closeServer = await beginnings.beforeWork(runtime);
    watches.push(await begin(parts, sources, stopRequest));
  } catch (error) {
    await stop(closeServer);
    throw error;
  }
  logStart({ ...runtime, log });
  return runtime;
}

function logStart({ config, registry, executors, startedAtMs, log }: Runtime & Pick<Beginnings, "log">) {
  const facts = { types: registry.types.length, data_folder: config.dataFolder, start_ms: Date.now() - startedAtMs };
  log.info({ workers: [...executors.keys()], ...facts }, "the container is up");
}

function contextOf({ config, registry, embedded, log, stopRequest }: ContextParts) {
  const { workers } = registry;
  const runsHere = (worker: string) => config.workers.length === 0 || config.workers.includes(worker);
  return {
    workers,
    runsHere,
    jobTypes: registry,
    log,
    dataFolder: embedded.folder.path,
    embedded: async () => embedded.source,
    requestStop: () => stopRequest.resolve(),
  };
}

interface ContextParts extends Pick<Collaborators, "config" | "registry" | "embedded" | "log"> {
  readonly stopRequest: { resolve(): void };
}

async function begin(
  { fetches, delivery, offers, dataFolder, dispatcher, warmUp }: ReturnType<typeof wire>,
  { byName }: Sources,
  stopRequest: PromiseWithResolvers<void>,
) {
  await fetches.start();
  // What an earlier process finished is delivered before its lease runs out and somebody does the work again.
  await Promise.all([delivery.start(), offers.start(), dataFolder.start()]);
  dispatcher.start();
  void warmUp.run();
  // Not every starter waits for it.
  stopRequest.promise.catch(() => undefined);
  return watchFitness({ offers, fetches, sources: byName.values(), fail: stopRequest.reject });
}

function promptReader({ handlersFolder, leaseSeconds }: Config, log: Logger): PromptReader {
  return new PromptReader({ log, handlersFolder, stoppedMaxMs: leaseSeconds * 1000 });
}

function restartExecutor(
  executor: Executor,
  { runner, calls }: { readonly runner: JobRunner; readonly calls: Calls },
  { config, log }: Pick<Collaborators, "config" | "log">,
) {
  const restarted = executor.restart((config.abortGraceSeconds + 1) * 1000);
  runner.release(executor.worker);
  calls.release(executor.worker);
  restarted.catch((error: unknown) => log.error({ error, executor: executor.worker }, "a restart failed"));
}

function pickParts(parts: ReturnType<typeof wire>) {
  const { events, dispatcher, calls, attemptLogs, delivery, dataFolder, warmUp, fetches, offers, uploads } = parts;
  return { events, dispatcher, calls, attemptLogs, delivery, dataFolder, warmUp, fetches, offers, uploads };
}

function filesOf({ store, webhook }: Destinations, { store: files, callbacks, folder }: Embedded) {
  const removeFiles = jobRemover({ stores: [store, files], callbacks, logs: logsFolder(folder.path) });
  return { store, webhook, files, removeFiles };
}

interface Collaborators {
  readonly config: Config;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly tracing: Tracing;
  readonly registry: Registry;
  readonly embedded: Embedded;
  readonly destinations: Destinations;
  readonly executors: Map<string, Executor>;
  readonly outbox: Outbox;
  readonly sources: Sources;
  readonly presets: Presets;
  readonly sessions: ChatSessions;
  /** A handler has come, or was mended. */
  onHandler(handler: Handler): void;
}

function observed({ store, callback, webhook, stored }: Destinations, tracing: Tracing, metrics: Metrics) {
  return {
    store: measuredStore(tracedStore(store, tracing), metrics),
    callback: measuredCallback(tracedCallback(callback, tracing), metrics),
    webhook,
    stored,
  };
}

/** Makes the parts between a job's source and its delivery, none of them running yet. */
function wire(own: Collaborators) {
  const { config, log, metrics, tracing, registry, embedded, destinations, executors, outbox } = own;
  const { byName, queues } = own.sources;
  const sources = new Map([...byName].map(([name, { source }]) => [name, source]));
  const { folder } = embedded;
  const results = observed(destinations, tracing, metrics);
  const { workerId, abortGraceSeconds, deliveryConcurrency: concurrency } = config;
  const keepers = new Map([...sources.values()].map((one) => [one.name, new LeaseKeeper(one, log, metrics)]));
  const events = new JobEvents();
  const shared = { keepers, events, log, metrics, tracing, nowMs: Date.now, random: Math.random };
  const inputs = connectInputs(config, folder, embedded.store, log);
  const uploads = connectUploads(config, { ...embedded, store: destinations.store, queues }, log);
  const delivery = new Delivery({ ...shared, ...results, outbox, sources, workerId, concurrency });
  const fetches = new ModelFetches({ config, log, onChange: () => void offers.look() });
  const offers: Offers = connectOffers({
    config,
    fetches,
    log,
    registry,
    executors,
    sources: [...sources.values()],
    onHandler: own.onHandler,
    onExecutor: (executor) => {
      for (const each of [dispatcher, calls]) each.watch(executor);
    },
  });
  const restore = (source: string, lease: Lease, delaySeconds: number) =>
    restoreJob({ queues, registry, log }, { source, lease, delaySeconds });
  const settler = new Settler({ ...shared, registry, delivery, restore });
  const answerQuery = answerQueries(own);
  const running = { ...shared, registry, executors, inputs, answerQuery, workFolder: folder.work, abortGraceSeconds };
  const calls: Calls = new Calls({
    ...running,
    ...foundBy(offers),
    ...callLimits(config),
    isBlocked: () => !warmUp.isDone,
    isStarting: () => dispatcher.state === "starting",
    isPaused: () => dispatcher.state === "paused",
  });
  const attemptLogs = new AttemptLogs({ folder: logsFolder(folder.path), workerId, log });
  const runner = new JobRunner({
    ...running,
    attemptLogs,
    ...foundBy(offers),
    calls,
    delivery,
    settler,
    enqueueChild: (source, parent, child) => enqueueChild({ queues, registry, source }, parent, child),
  });
  const wake = () => {
    for (const each of [dispatcher, calls]) each.wake();
  };
  const warmUp = new WarmUp({ config, fetches, registry, executors, workFolder: folder.work, log, onDone: wake });
  const dataFolder = new FolderWatch({ path: folder.path, log, onChange: wake });
  const dispatcher: Dispatcher = new Dispatcher({
    ...shared,
    sources: [...sources.values()],
    executors,
    runner,
    settler,
    offers,
    waitingCalls: (worker) => calls.waiting(worker),
    isBlocked: () => dataFolder.isGone || !warmUp.isDone,
  });
  offers.on("change", wake);
  const shown = { events, dispatcher, calls, attemptLogs, delivery, dataFolder, warmUp, fetches, offers, uploads };
  return { ...shown, keepers, runner };
}

function callLimits({ callTimeoutSeconds, maxWaitingCalls }: Config) {
  return { timeoutSeconds: callTimeoutSeconds, maxWaiting: maxWaitingCalls };
}

/** What jobs and calls find out about this container, and whether they may run in it. */
function foundBy(offers: Offers) {
  return {
    onCondition: (condition: ErrorReport, lease: Pick<Lease, "job">) => offers.onCondition(condition, lease),
    obstacleTo: (job: Job) => offers.obstacleTo(job),
    yieldMs: (job: Job) => offers.yieldMs(job),
    onAttemptEnd: (attempt: AttemptReport) => offers.onAttemptEnd(attempt),
  };
}
