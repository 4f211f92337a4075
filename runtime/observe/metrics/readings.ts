import process from "node:process";
import type { Calls } from "#runtime/calls/calls.ts";
import { troublesOf } from "#runtime/container/problems.ts";
import { workerVersion } from "#runtime/container/version.ts";
import type { Outbox } from "#runtime/delivery/outbox.ts";
import { type Dispatcher, dispatcherStates } from "#runtime/dispatch/dispatcher.ts";
import type { ExecutorState, ExecutorStatus } from "#runtime/executor/parent/executor.ts";
import type { Offers } from "#runtime/offers/offers.ts";
import { type QueueStats, queueName } from "#runtime/sources/job-source.ts";
import type { ConnectedSource } from "#runtime/sources/source-definition.ts";
import type { GpuReading } from "../gpu/gpu-reading.ts";
import { residentBytes } from "../process-memory.ts";
import type { QueueReading } from "./queue-reading.ts";
import type { MetricsRegistry } from "./registry.ts";

/*
 * Everything that is read at a scrape from where it is kept anyway. Nothing here waits for longer than a reading of a
 * queue may take.
 */
export interface MeasuredContainer {
  readonly workerId: string;
  readonly dispatcher: Pick<Dispatcher, "state" | "activeJobs" | "troubles">;
  readonly calls: Pick<Calls, "waiting" | "has">;
  readonly executors: ReadonlyMap<
    string,
    { readonly status: Pick<ExecutorStatus, "worker" | "state" | "restarts" | "heldModels" | "memoryBytes" | "pid"> }
  >;
  readonly outbox: Pick<Outbox, "backlog">;
  readonly offers: Pick<Offers, "all" | "conditions" | "quarantined">;
  /** By source: what waits in the queues of those that can report it. */
  readonly queueReadings: ReadonlyMap<string, QueueReading>;
  readonly gpu: Pick<GpuReading, "read">;
  /** What the sources report of themselves. */
  readonly sources: ReadonlyMap<string, Pick<ConnectedSource, "paid" | "undecodable" | "trouble">>;
}

const executorStates: readonly ExecutorState[] = ["starting", "idle", "busy", "waiting", "stopping", "stopped"];

export function readAtScrape(registry: MetricsRegistry, container: MeasuredContainer): void {
  readDispatcher(registry, container);
  readExecutors(registry, container);
  readCalls(registry, container);
  readGpus(registry, container);
  readOutbox(registry, container);
  readOffers(registry, container);
  readQueues(registry, container);
  for (const [name, { paid }] of container.sources) if (paid !== undefined) readCost(registry, name, paid);
  readUndecodable(registry, container);
}

function readDispatcher(registry: MetricsRegistry, { workerId, dispatcher, sources }: MeasuredContainer): void {
  const build = registry.gauge({
    name: "ourvidz_build_info",
    help: "1, with the container's version, its worker id and the version of Node.js.",
    labels: ["version", "worker_id", "node"],
  });
  const state = registry.gauge({
    name: "ourvidz_dispatcher_state",
    help: "1 for the state that the dispatcher is in, 0 for the others.",
    labels: ["state"],
  });
  const active = registry.gauge({
    name: "ourvidz_active_jobs",
    help: "Jobs that were taken and whose attempt has not ended.",
    labels: [],
  });
  const reaches = registry.gauge({
    name: "ourvidz_sources_reachable",
    help: "1 while every source answers, 0 after a call failed until one succeeds.",
    labels: [],
  });
  registry.atScrape(() => {
    build.set({ version: workerVersion, worker_id: workerId, node: process.version }, 1);
    for (const each of dispatcherStates) state.set({ state: each }, each === dispatcher.state ? 1 : 0);
    active.set({}, dispatcher.activeJobs);
    reaches.set({}, troublesOf({ dispatcher, sources }).length === 0 ? 1 : 0);
  });
}

function readCalls(registry: MetricsRegistry, { calls, executors }: MeasuredContainer): void {
  const waiting = registry.gauge({
    name: "ourvidz_calls_waiting",
    help: "Calls that wait for the worker's executor.",
    labels: ["worker"],
  });
  const running = registry.gauge({
    name: "ourvidz_calls_running",
    help: "Calls that have the worker's executor: one or none.",
    labels: ["worker"],
  });
  registry.atScrape(() => {
    for (const worker of executors.keys()) {
      waiting.set({ worker }, calls.waiting(worker));
      running.set({ worker }, calls.has(worker) ? 1 : 0);
    }
  });
}

function readExecutors(registry: MetricsRegistry, { executors }: MeasuredContainer): void {
  const state = registry.gauge({
    name: "ourvidz_executor_state",
    help: "1 for the state that a worker's executor is in, 0 for the others.",
    labels: ["worker", "state"],
  });
  const restarts = registry.total({
    name: "ourvidz_executor_restarts_total",
    help: "Ends of an executor process that nobody had requested.",
    labels: ["worker"],
  });
  const memory = registry.gauge({
    name: "ourvidz_executor_resident_memory_bytes",
    help: "Resident memory of an executor process.",
    labels: ["worker"],
  });
  const models = registry.gauge({
    name: "ourvidz_executor_models_held",
    help: "Models that an executor keeps loaded.",
    labels: ["worker"],
  });
  registry.atScrape(async () => {
    memory.clear();
    for (const { status } of executors.values()) {
      const { worker } = status;
      for (const each of executorStates) state.set({ worker, state: each }, each === status.state ? 1 : 0);
      restarts.set({ worker }, status.restarts);
      models.set({ worker }, status.heldModels.length);
      const bytes = (await residentBytes(status.pid)) ?? status.memoryBytes;
      if (bytes !== null) memory.set({ worker }, bytes);
    }
  });
}

/** Where there is no GPU, there are no values. */
function readGpus(registry: MetricsRegistry, { gpu: reading }: MeasuredContainer): void {
  const labels = ["gpu", "name"] as const;
  const used = registry.gauge({
    name: "ourvidz_gpu_memory_used_bytes",
    help: "Memory of a GPU that is in use, by whichever process.",
    labels,
  });
  const total = registry.gauge({
    name: "ourvidz_gpu_memory_total_bytes",
    help: "Memory that a GPU has.",
    labels,
  });
  const utilization = registry.gauge({
    name: "ourvidz_gpu_utilization_ratio",
    help: "Part of the last moment in which something ran on a GPU, 0 to 1.",
    labels,
  });
  const temperature = registry.gauge({
    name: "ourvidz_gpu_temperature_celsius",
    help: "Temperature of a GPU.",
    labels,
  });
  registry.atScrape(async () => {
    const gpus = (await reading.read()) ?? [];
    for (const gauge of [used, total, utilization, temperature]) gauge.clear();
    for (const [index, { name, memoryUsedBytes, memoryTotalBytes, utilizationPercent, ...rest }] of gpus.entries()) {
      const set = (gauge: typeof used, value: number | null) => {
        if (value !== null) gauge.set({ gpu: String(index), name }, value);
      };
      set(used, memoryUsedBytes);
      set(total, memoryTotalBytes);
      set(utilization, utilizationPercent === null ? null : utilizationPercent / 100);
      set(temperature, rest.temperatureCelsius);
    }
  });
}

function readOutbox(registry: MetricsRegistry, { outbox }: MeasuredContainer): void {
  const rows = registry.gauge({
    name: "ourvidz_outbox_rows",
    help: "Finished jobs that still have to be delivered, of every process on this data folder.",
    labels: [],
  });
  const oldest = registry.gauge({
    name: "ourvidz_outbox_oldest_seconds",
    help: "Age of the oldest of them, 0 when there is none.",
    labels: [],
  });
  registry.atScrape(() => {
    const backlog = outbox.backlog();
    rows.set({}, backlog.rows);
    oldest.set({}, backlog.oldestSeconds);
  });
}

function readOffers(registry: MetricsRegistry, { offers }: MeasuredContainer): void {
  const offer = registry.gauge({
    name: "ourvidz_offer",
    help: "1 for a job type that this container runs when the job names no model, 0 for one that it does not at present.",
    labels: ["worker", "type"],
  });
  const condition = registry.gauge({
    name: "ourvidz_container_condition",
    help: "1 for each job type, model or worker that this container does not run at present, absent when there is none.",
    labels: ["worker", "kind", "subject"],
  });
  const quarantined = registry.gauge({
    name: "ourvidz_quarantined_users",
    help: "Users whose jobs of a type let others' go first at present, since they kill their executor or fail one after the other.",
    labels: ["type"],
  });
  registry.atScrape(() => {
    offer.clear();
    condition.clear();
    quarantined.clear();
    for (const [type, users] of Map.groupBy(offers.quarantined, (one) => one.type))
      quarantined.set({ type }, users.length);
    for (const [worker, { types, defaultModelTypes }] of offers.all)
      for (const type of types) offer.set({ worker, type }, defaultModelTypes.includes(type) ? 1 : 0);
    for (const { worker, kind, subject, state } of offers.conditions)
      if (state === "active") condition.set({ worker, kind, subject }, 1);
  });
}

function readQueues(registry: MetricsRegistry, { queueReadings, executors }: MeasuredContainer): void {
  const answers = registry.gauge({
    name: "ourvidz_queue_readable",
    help: "1 when a source reported at this scrape, or lately enough, what waits in its queues; 0 when it did not answer.",
    labels: ["source"],
  });
  const age = registry.gauge({
    name: "ourvidz_queue_reading_age_seconds",
    help: "How long ago a source reported what waits in its queues.",
    labels: ["source"],
  });
  const jobs = registry.gauge({
    name: "ourvidz_queue_jobs",
    help: "Jobs of a queue by state, in all containers: queued (due), delayed, running or failed (kept to be redriven).",
    labels: ["source", "queue", "state"],
  });
  const oldest = registry.gauge({
    name: "ourvidz_queue_oldest_seconds",
    help: "Age of the oldest job that is due, 0 when none is.",
    labels: ["source", "queue"],
  });
  const unoffered = registry.gauge({
    name: "ourvidz_unoffered_jobs",
    help: "Jobs of a queue that are due and that no container can run, by the model that they name.",
    labels: ["source", "queue", "type", "model"],
  });
  const setUnoffered = (source: string, queue: string, needs: QueueStats["unoffered"]) => {
    for (const need of needs) unoffered.set({ source, queue, type: need.type, model: need.model ?? "" }, need.jobs);
  };
  registry.atScrape(async () => {
    const read = await Promise.all(
      [...queueReadings].map(async ([source, reading]) => ({ source, ...(await reading.read()) })),
    );
    jobs.clear();
    oldest.clear();
    age.clear();
    unoffered.clear();
    for (const { source, stats, ageSeconds } of read) {
      answers.set({ source }, stats === null ? 0 : 1);
      if (stats === null) continue;
      age.set({ source }, ageSeconds);
      // A queue of this container in which there is nothing is 0, not absent.
      const own = [...executors.keys()].map(emptyQueue);
      for (const { queue, oldestQueuedSeconds, unoffered: needs, pausedSinceMs: _, ...counts } of [...own, ...stats]) {
        for (const [state, count] of Object.entries(counts)) jobs.set({ source, queue, state }, count);
        oldest.set({ source, queue }, oldestQueuedSeconds ?? 0);
        setUnoffered(source, queue, needs);
      }
    }
  });
}

/** What a queue in which there is nothing looks like. */
export function emptyQueue(worker: string): QueueStats {
  return {
    queue: queueName(worker),
    queued: 0,
    delayed: 0,
    running: 0,
    failed: 0,
    oldestQueuedSeconds: null,
    unoffered: [],
    pausedSinceMs: null,
  };
}

function readUndecodable(registry: MetricsRegistry, { sources }: MeasuredContainer): void {
  const counts = [...sources].flatMap(([source, { undecodable }]) => (undecodable ? [{ source, undecodable }] : []));
  if (counts.length === 0) return;
  const elements = registry.total({
    name: "ourvidz_undecodable_elements_total",
    help: "Elements of a queue in which there was no job, moved to the dead letters by this container.",
    labels: ["source"],
  });
  const repeated = registry.total({
    name: "ourvidz_repeated_elements_total",
    help: "Elements of a queue that this container dropped because their jobs are known, with the same body.",
    labels: ["source"],
  });
  registry.atScrape(() => {
    for (const { source, undecodable } of counts) {
      elements.set({ source }, undecodable.count);
      repeated.set({ source }, undecodable.repeated);
    }
  });
}

function readCost(registry: MetricsRegistry, source: string, paid: NonNullable<ConnectedSource["paid"]>): void {
  const commands = registry.total({
    name: `ourvidz_${source}_commands_total`,
    help: "Commands that the source bills, by what they were for.",
    labels: ["operation"],
  });
  const requests = registry.total({
    name: `ourvidz_${source}_requests_total`,
    help: "Requests to the source, repeated ones included.",
    labels: [],
  });
  const dollars = registry.gauge({
    name: `ourvidz_${source}_estimated_dollars_per_month`,
    help: "What a month would cost at the rate since the start; absent in the first minute.",
    labels: [],
  });
  registry.atScrape(() => {
    const usage = paid.usage();
    requests.set({}, usage.requests);
    for (const [operation, count] of Object.entries(usage.commandsByOperation)) commands.set({ operation }, count);
    dollars.clear();
    if (usage.estimatedDollarsPerMonth !== null) dollars.set({}, usage.estimatedDollarsPerMonth);
  });
}
