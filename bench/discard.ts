import { monitorEventLoopDelay } from "node:perf_hooks";
import process from "node:process";
import { createClient } from "redis";
import { jobEnvelope } from "#contract/job.ts";
import { cancelMatching } from "#runtime/sources/change-many.ts";
import { discardMatching } from "#runtime/sources/discard-jobs.ts";
import { JobQueues } from "#runtime/sources/job-queues.ts";
import type { JobQueue, JobSource } from "#runtime/sources/job-source.ts";
import { openHarness as openSqlite } from "#runtime/sources/sqlite/testing/sqlite-harness.ts";
import { createUpstashSource } from "#runtime/sources/upstash/upstash-source.ts";
import { startTestGateway } from "#test/support/gateway.ts";
import { printTable } from "./support/table.ts";

/*
 * Getting rid of jobs: JOBS failed ones (default 5,000, in ten groups) are grouped and discarded, and as many that wait are
 * cancelled, in the embedded queue and on a Redis of this machine. Shown are the time, the longest time in which this
 * process did nothing else, how much memory it took, and on Redis the longest script.
 */
const jobs = Number(process.env.JOBS ?? 5_000);
const batch = 50;
const codes = ["HANDLER_FAILED", "EXECUTOR_CRASHED", "TIMED_OUT", "INVALID_JOB", "NUMERICAL_ERROR"] as const;
const types = ["sdxl_image_fast", "sdxl_image_high"];
const signal = new AbortController().signal;

interface Side {
  readonly name: string;
  readonly source: JobSource;
  readonly queue: JobQueue;
  /** Longest time that the server worked at one command since the last call, in milliseconds; null where there is none. */
  longestMs(): Promise<number | null>;
  close(): Promise<void>;
}

async function sqlite(): Promise<Side> {
  const harness = await openSqlite();
  return { name: "sqlite", ...harness, longestMs: async () => null };
}

async function redis(): Promise<Side> {
  const gateway = await startTestGateway();
  const source = createUpstashSource({ url: gateway.url, token: gateway.token, workerId: "bench", events: false });
  const server = createClient({ url: gateway.redis.url });
  await server.connect();
  await server.sendCommand(["CONFIG", "SET", "slowlog-log-slower-than", "500"]);
  await server.sendCommand(["CONFIG", "SET", "slowlog-max-len", "10000"]);
  return {
    name: "redis",
    source,
    queue: source,
    async longestMs() {
      const log = await server.sendCommand(["SLOWLOG", "GET", "-1"]);
      await server.sendCommand(["SLOWLOG", "RESET"]);
      const times = Array.isArray(log)
        ? log.map((entry: unknown) => (Array.isArray(entry) ? Number(entry[2]) : 0))
        : [];
      return Math.max(0, ...times) / 1000;
    },
    async close() {
      await source.close();
      server.destroy();
      await gateway.close();
    },
  };
}

async function fill({ source, queue }: Side): Promise<void> {
  for (let from = 0; from < jobs; from += batch) {
    const some = Array.from({ length: Math.min(batch, jobs - from) }, (_, index) => from + index);
    await Promise.all(some.map((n) => queue.enqueue(jobOf(`failed-${n}`, n), { worker: "sdxl" })));
    const { leases } = await source.take([{ worker: "sdxl", slots: some.length }]);
    await Promise.all(
      leases.map((lease, index) =>
        source.fail(lease, { code: codes[index % codes.length] ?? "INTERNAL", message: "as measured" }),
      ),
    );
  }
  for (let from = 0; from < jobs; from += batch) {
    const some = Array.from({ length: Math.min(batch, jobs - from) }, (_, index) => from + index);
    await Promise.all(some.map((n) => queue.enqueue(jobOf(`waiting-${n}`, n), { worker: "sdxl" })));
  }
}

function jobOf(id: string, n: number) {
  return jobEnvelope.parse({ id, type: types[n % types.length], prompt: "a lighthouse at dawn", user_id: "ann" });
}

/** What an action took, as cells of a row. */
async function measured(side: Side, what: string, action: () => Promise<string>): Promise<string[]> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  await side.longestMs();
  const memory = process.memoryUsage().rss;
  delay.enable();
  const startedMs = performance.now();
  const result = await action();
  const tookMs = performance.now() - startedMs;
  // The last delay is noted when the loop turns again.
  await new Promise((resolve) => setTimeout(resolve, 5));
  delay.disable();
  const server = await side.longestMs();
  return [
    side.name,
    what,
    result,
    `${tookMs.toFixed(0)} ms`,
    `${(delay.max / 1e6).toFixed(0)} ms`,
    server === null ? "-" : `${server.toFixed(1)} ms`,
    `${((process.memoryUsage().rss - memory) / 2 ** 20).toFixed(0)} MiB`,
  ];
}

const rows: string[][] = [["queue", "what", "result", "time", "longest loop delay", "longest script", "memory taken"]];
for (const open of [sqlite, redis]) {
  const side = await open();
  await fill(side);
  const queues = new JobQueues(new Map([[side.name, side.queue]]));
  const all = { limit: Number.MAX_SAFE_INTEGER, signal };
  rows.push(
    await measured(side, "groups", async () => `${(await side.queue.failureGroups()).length} groups`),
    await measured(side, "nothing matches", async () => {
      const filter = { statuses: ["failed", "queued"] as const, userId: "nobody" };
      return `${(await discardMatching(queues, { ...all, filter, dryRun: true, removeFiles: null })).matched} jobs`;
    }),
    await measured(side, "discard", async () => {
      const outcome = await discardMatching(queues, { ...all, filter: { statuses: ["failed"] }, removeFiles: null });
      return `${outcome.changed.discarded} jobs`;
    }),
    await measured(side, "cancel", async () => {
      const outcome = await cancelMatching(queues, { ...all, filter: { statuses: ["queued"] } });
      return `${outcome.changed.cancelled} jobs`;
    }),
  );
  await side.close();
}
printTable(rows);
