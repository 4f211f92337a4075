import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { jobEnvelope } from "#contract/job.ts";
import { createUpstashSource } from "#runtime/sources/upstash/upstash-source.ts";
import { startTestGateway } from "#test/support/gateway.ts";
import { type BenchContainer, startContainer } from "./support/container.ts";
import { cpuMs, processTree } from "./support/processes.ts";
import { printTable, spread } from "./support/table.ts";

/*
 * Jobs without inference through whole containers: Redis → gateway → dispatcher → executor → outbox → settled. CONTAINERS
 * (default 4) containers share one Redis behind the gateway, JOBS (default 2000) jobs a round. The processor time of
 * each part says where it goes.
 */
const containerCount = Number(process.env.CONTAINERS ?? 4);
const jobs = Number(process.env.JOBS ?? 2000);
const rounds = Number(process.env.ROUNDS ?? 3);

const gateway = await startTestGateway();
const queue = createUpstashSource({ url: gateway.url, token: gateway.token, workerId: "bench", workers: ["bench"] });
const containers: BenchContainer[] = [];
for (let index = 0; index < containerCount; index++) {
  containers.push(
    await startContainer({
      HANDLERS_DIR: fileURLToPath(new URL("./handlers", import.meta.url)),
      UPSTASH_REDIS_REST_URL: gateway.url,
      UPSTASH_REDIS_REST_TOKEN: gateway.token,
      WORKER_ID: `bench-${index}`,
      LOG_LEVEL: "warn",
    }),
  );
}

/** Processor time so far, by part. */
function used(): Map<string, number> {
  const total = new Map<string, number>();
  const add = (part: string, ms: number) => total.set(part, (total.get(part) ?? 0) + ms);
  const dispatchers = new Set(containers.map((container) => container.process.pid));
  for (const { pid, parent, command } of processTree(process.pid)) {
    if (pid === process.pid) add("gateway (and this program)", cpuMs(pid));
    else if (dispatchers.has(pid)) add("dispatchers", cpuMs(pid));
    else if (dispatchers.has(parent)) add("executors", cpuMs(pid));
    else if (command.includes("redis-server")) add("Redis", cpuMs(pid));
  }
  return total;
}

async function unfinished(): Promise<number> {
  return (await queue.stats()).reduce((sum, { queued, delayed, running }) => sum + queued + delayed + running, 0);
}

async function round(number: number): Promise<number> {
  const ids = Array.from({ length: jobs }, (_, index) => `round-${number}-${index}`);
  const elements = ids.map((id) => JSON.stringify(jobEnvelope.parse({ id, type: "empty", prompt: "a lake" })));
  // Pushed at once, as a backlog: the containers are never short of work.
  await gateway.client().lpush("bench_queue", ...elements);
  const startedMs = performance.now();
  await gateway.client().publish("ourvidz:events", "jobs");
  while ((await unfinished()) > 0 || (await queue.get(ids.at(-1) ?? "")) === null) await pause(20);
  return jobs / ((performance.now() - startedMs) / 1000);
}

// The first round warms up.
await round(0);
const before = used();
const rates: number[] = [];
for (let number = 1; number <= rounds; number++) rates.push(await round(number));
const after = used();
printTable([
  ["what", "jobs/s, median (min to max)"],
  [`${containerCount} containers, one executor each`, spread(rates, 0)],
]);
const parts = [...after].map(([part, ms]) => [part, ms - (before.get(part) ?? 0)] as const);
const perJob = (ms: number) => (ms / rounds / jobs).toFixed(2);
console.log();
printTable([
  ["processor time", "ms a job"],
  ...parts.map(([part, ms]) => [part, perJob(ms)]),
  ["all", perJob(parts.reduce((sum, [, ms]) => sum + ms, 0))],
]);
await Promise.all(containers.map((container) => container.stop()));
await queue.close();
await gateway.close();
