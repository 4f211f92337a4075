import process from "node:process";
import { pino } from "pino";
import { expect, it } from "vitest";
import type { QueueStats } from "#runtime/sources/job-source.ts";
import { parsePrometheus, valuesOf } from "#test/support/prometheus.ts";
import type { GpuFacts } from "../gpu/parse-gpus.ts";
import { QueueReading } from "./queue-reading.ts";
import { emptyQueue, type MeasuredContainer, readAtScrape } from "./readings.ts";
import { MetricsRegistry } from "./registry.ts";

function setUp(parts: Partial<MeasuredContainer>) {
  const registry = new MetricsRegistry({ jobTypes: ["count", "paint"], log: pino({ level: "silent" }) });
  readAtScrape(registry, {
    workerId: "test",
    dispatcher: { state: "running", activeJobs: 0, troubles: [] },
    calls: { waiting: () => 0, has: () => false },
    executors: new Map(),
    offers: { all: new Map(), conditions: [], quarantined: [] },
    outbox: { backlog: () => ({ rows: 0, oldestSeconds: 0 }) },
    queueReadings: new Map(),
    gpu: { read: async () => null },
    sources: new Map(),
    ...parts,
  });
  return async (name: string, ...labels: string[]) => valuesOf(parsePrometheus(await registry.text()), name, ...labels);
}

const executor = { worker: "sdxl", state: "idle", restarts: 0, heldModels: [], memoryBytes: null, pid: null } as const;

it("reports what the driver reports of each GPU, and nothing of one that is gone", async () => {
  const known: GpuFacts = {
    name: "NVIDIA L4",
    memoryTotalBytes: 24e9,
    memoryUsedBytes: 6e9,
    memoryFreeBytes: 18e9,
    utilizationPercent: 37,
    temperatureCelsius: 61,
  };
  const slice: GpuFacts = { ...known, name: "NVIDIA A100 MIG 1g", utilizationPercent: null };
  let gpus: readonly GpuFacts[] | null = [known, slice];
  const values = setUp({ gpu: { read: async () => gpus } });
  expect(await values("ourvidz_gpu_memory_used_bytes", "gpu", "name")).toEqual({
    "0,NVIDIA L4": 6e9,
    "1,NVIDIA A100 MIG 1g": 6e9,
  });
  expect(await values("ourvidz_gpu_utilization_ratio", "gpu")).toEqual({ "0": 0.37 });
  expect(await values("ourvidz_gpu_temperature_celsius", "gpu")).toEqual({ "0": 61, "1": 61 });
  gpus = null;
  expect(await values("ourvidz_gpu_memory_total_bytes", "gpu")).toEqual({});
});

it("reports an executor's memory from the system, else what it reported last, and nothing of one that is not there", async () => {
  const executors = new Map(
    [
      { ...executor, worker: "running", pid: process.pid, memoryBytes: 1 },
      { ...executor, worker: "gone", pid: 2 ** 30, memoryBytes: 5 },
      { ...executor, worker: "waiting", state: "waiting" as const, restarts: 3 },
    ].map((status) => [status.worker, { status }]),
  );
  const values = setUp({ executors });
  const memory = await values("ourvidz_executor_resident_memory_bytes", "worker");
  expect(memory).toEqual({ running: expect.any(Number), gone: 5 });
  expect(memory.running).toBeGreaterThan(10_000_000);
  expect(await values("ourvidz_executor_restarts_total", "worker")).toMatchObject({ waiting: 3 });
  expect(await values("ourvidz_executor_state", "worker", "state")).toMatchObject({
    "waiting,waiting": 1,
    "waiting,idle": 0,
    "gone,idle": 1,
  });
});

it("reports an empty queue of this container as 0, and no depth of a source that does not answer", async () => {
  const failed: QueueStats = {
    queue: "wan_queue",
    queued: 0,
    delayed: 0,
    running: 0,
    failed: 2,
    oldestQueuedSeconds: null,
    unoffered: [],
    pausedSinceMs: null,
  };
  const isBusy = () => false;
  const away = () => Promise.reject(new Error("no connection"));
  const queueReadings = new Map([
    ["sqlite", new QueueReading({ queue: { stats: async () => [failed] }, isBusy })],
    ["upstash", new QueueReading({ queue: { stats: away }, isBusy })],
  ]);
  const values = setUp({ queueReadings, executors: new Map([["sdxl", { status: executor }]]) });
  expect(await values("ourvidz_queue_readable", "source")).toEqual({ sqlite: 1, upstash: 0 });
  const jobs = await values("ourvidz_queue_jobs", "source", "queue", "state");
  expect(jobs).toMatchObject({ "sqlite,sdxl_queue,queued": 0, "sqlite,wan_queue,failed": 2 });
  expect(Object.keys(jobs).filter((series) => series.startsWith("upstash"))).toEqual([]);
  expect(await values("ourvidz_queue_oldest_seconds", "queue")).toEqual({ sdxl_queue: 0, wan_queue: 0 });
});

it("reports the age of the outbox and the cost of a paid queue, whose estimate is missing at first", async () => {
  const usage = {
    commands: 12,
    commandsByOperation: { take: 8, renew: 4 },
    requests: 5,
    commandsPerHour: 100,
    estimatedDollarsPerMonth: null,
  };
  const values = setUp({
    outbox: { backlog: () => ({ rows: 3, oldestSeconds: 42 }) },
    sources: new Map([
      [
        "upstash",
        {
          paid: { usage: () => usage },
          undecodable: { count: 1, repeated: 3, list: async () => [], discard: async () => 0 },
        },
      ],
    ]),
  });
  expect(await values("ourvidz_outbox_rows")).toEqual({ "": 3 });
  expect(await values("ourvidz_outbox_oldest_seconds")).toEqual({ "": 42 });
  expect(await values("ourvidz_upstash_commands_total", "operation")).toEqual({ take: 8, renew: 4 });
  expect(await values("ourvidz_undecodable_elements_total", "source")).toEqual({ upstash: 1 });
  expect(await values("ourvidz_repeated_elements_total", "source")).toEqual({ upstash: 3 });
  expect(await values("ourvidz_upstash_estimated_dollars_per_month")).toEqual({});
});

it("reports what the container runs, what it does not, and which jobs nobody runs", async () => {
  const condition = {
    worker: "sdxl",
    sinceMs: 0,
    nextLookMs: null,
    error: { code: "MODEL_INVALID", message: "cut off" },
  } as const;
  const unoffered = [{ type: "paint", model: null, served: true, jobs: 3, oldestSeconds: 60 }];
  const stats = async () => [{ ...emptyQueue("sdxl"), queued: 3, unoffered }];
  const values = setUp({
    offers: {
      all: new Map([["sdxl", { types: ["count", "paint"], defaultModelTypes: ["count"], models: [] }]]),
      conditions: [
        { ...condition, kind: "model", subject: "painter", state: "active" },
        { ...condition, kind: "type", subject: "weave", state: "probing" },
      ],
      quarantined: ["mallory", "trudy"].map((userId) => ({
        userId,
        type: "paint",
        failures: 1,
        error: { code: "EXECUTOR_CRASHED", message: "gone" },
        sinceMs: 0,
        untilMs: null,
      })),
    },
    queueReadings: new Map([["sqlite", new QueueReading({ queue: { stats }, isBusy: () => true })]]),
  });
  expect(await values("ourvidz_offer", "worker", "type")).toEqual({ "sdxl,count": 1, "sdxl,paint": 0 });
  expect(await values("ourvidz_container_condition", "worker", "kind", "subject")).toEqual({ "sdxl,model,painter": 1 });
  expect(await values("ourvidz_quarantined_users", "type")).toEqual({ paint: 2 });
  expect(await values("ourvidz_unoffered_jobs", "queue", "type", "model")).toEqual({ "sdxl_queue,paint,": 3 });
});

it("says that a source is away as soon as anybody found out, who takes or not", async () => {
  const trouble = { code: "QUEUE_UNREACHABLE", message: "nobody listens", sinceMs: 0 } as const;
  const silent = setUp({ sources: new Map([["upstash", { trouble: () => trouble }]]) });
  expect(await silent("ourvidz_sources_reachable")).toEqual({ "": 0 });
  const answering = setUp({ sources: new Map([["upstash", { trouble: () => null }]]) });
  expect(await answering("ourvidz_sources_reachable")).toEqual({ "": 1 });
});
