import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { readCommandStats } from "#runtime/sources/upstash/testing/command-stats.ts";
import { startRedis } from "#test/support/redis.ts";
import { median, printTable, quantile, spread } from "./support/table.ts";
import { bullmq, type Contestant, ours, type Places, peerPollMs, upstashQueue } from "./upstash-contestants.ts";

/*
 * The upstash source beside BullMQ (TCP and blocking commands, which Upstash's REST API does not have) and beside
 * Upstash's own queue over the same REST gateway: throughput of jobs that do nothing, delay until a job is picked up, and
 * commands for a job. One Redis, one machine, each in turn, ROUNDS times (default 5).
 */
const rounds = Number(process.env.ROUNDS ?? 5);
const samples = { quick: 100, polling: 8 };

async function startGatewayProcess(redisUrl: string, token: string) {
  const cli = fileURLToPath(new URL("../cli/ourvidz.js", import.meta.url));
  const child = spawn(process.execPath, [cli, "gateway", "--redis", redisUrl, "--port", "0"], {
    env: { PATH: process.env.PATH, GATEWAY_TOKEN: token },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const url = await new Promise<string>((resolve, reject) => {
    let text = "";
    const read = (chunk: Buffer) => {
      text += chunk.toString();
      const found = /http:\/\/127\.0\.0\.1:\d+/.exec(text);
      if (found) resolve(found[0]);
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    child.once("exit", (code) => reject(new Error(`the gateway ended with ${code}:\n${text}`)));
  });
  return {
    url,
    async stop() {
      child.kill("SIGTERM");
      await once(child, "exit");
    },
  };
}

async function jobsPerSecond(contestant: Contestant, count: number, atOnce: number): Promise<number> {
  await contestant.fill(count);
  const startedMs = performance.now();
  await contestant.drain(count, atOnce);
  return count / ((performance.now() - startedMs) / 1000);
}

const token = "a-token-of-the-benchmark";
const redis = await startRedis();
const gateway = await startGatewayProcess(redis.url, token);
const places: Places = { redisPort: redis.port, gatewayUrl: gateway.url, token };
const contestants = [ours(places), await bullmq(places), upstashQueue(places)];
const stats = await readCommandStats(redis.url);

const throughput = new Map<string, number[]>();
const delays = new Map<string, number[]>();
const commands = new Map<string, number>();

for (let round = 0; round <= rounds; round += 1) {
  for (const contestant of contestants) {
    for (const [atOnce, count] of [
      [1, 300],
      [5, 600],
      [100, 4_000],
    ] as const) {
      if (atOnce > contestant.maxAtOnce) continue;
      const key = `${contestant.name}/${atOnce}`;
      const rate = await jobsPerSecond(contestant, count, atOnce);
      // The first round warms up.
      if (round > 0) throughput.set(key, [...(throughput.get(key) ?? []), rate]);
    }
  }
}
for (const contestant of contestants) {
  await contestant.fill(100);
  await stats.reset();
  await contestant.drain(100, 1);
  commands.set(contestant.name, (await stats.total()) / 100);
  const count = contestant.maxAtOnce > 5 ? samples.quick : samples.polling;
  const waited: number[] = [];
  while (waited.length < count) waited.push(await contestant.pickUp());
  delays.set(contestant.name, waited);
}

const [first, ...others] = contestants;
if (first === undefined) throw new Error("nobody takes part");
console.log("Jobs per second, median (least to most); and how many times as fast ours is\n");
printTable([
  ["at once", ...contestants.map(({ name }) => name), ...others.map(({ name }) => `ours / ${name.split(",")[0]}`)],
  ...[1, 5, 100].map((atOnce) => {
    const rates = contestants.map(({ name }) => throughput.get(`${name}/${atOnce}`));
    const own = median(rates[0] ?? []);
    return [
      String(atOnce),
      ...rates.map((values) => (values === undefined ? "not possible" : spread(values, 0))),
      ...rates.slice(1).map((values) => (values === undefined ? "" : `${(own / median(values)).toFixed(1)}×`)),
    ];
  }),
]);
const best = (name: string) =>
  Math.max(...[1, 5, 100].map((atOnce) => median(throughput.get(`${name}/${atOnce}`) ?? [0])));
for (const { name } of others) {
  console.log(`\nbest of ours / best of ${name}: ${(best(first.name) / best(name)).toFixed(1)}×`);
}
console.log(
  "\nMilliseconds until a job is picked up, the queue being at rest; commands for a job that is taken and settled\n",
);
printTable([
  ["queue", "p50", "p95", "p99", "commands a job", "survives its worker's death"],
  ...contestants.map(({ name, isReliable }) => {
    const values = delays.get(name) ?? [];
    const figures = [0.5, 0.95, 0.99].map((p) => quantile(values, p).toFixed(1));
    return [name, ...figures, (commands.get(name) ?? 0).toFixed(1), isReliable ? "yes" : "no: acknowledged before"];
  }),
]);
console.log(`\n@upstash/queue is asked every ${peerPollMs} ms while it finds nothing.`);

for (const contestant of contestants) await contestant.close();
await stats.close();
await gateway.stop();
await redis.stop();
process.exit();
