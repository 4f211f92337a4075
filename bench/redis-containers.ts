import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { jobEnvelope } from "#contract/job.ts";
import { createUpstashSource } from "#runtime/source/upstash/upstash-source.ts";
import { startTestGateway } from "../test/support/gateway.ts";
import { type BenchContainer, startContainer } from "./support/container.ts";
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

const rates: number[] = [];
for (let number = 0; number <= rounds; number++) {
  const rate = await round(number);
  // The first round warms up.
  if (number > 0) rates.push(rate);
}
printTable([
  ["what", "jobs/s, median (min to max)"],
  [`${containerCount} containers, one executor each`, spread(rates, 0)],
]);
await Promise.all(containers.map((container) => container.stop()));
await queue.close();
await gateway.close();
