import { jobEnvelope } from "#contract/job.ts";
import type { Lease } from "#runtime/sources/job-source.ts";
import { createUpstashSource } from "#runtime/sources/upstash/upstash-source.ts";
import { startTestGateway, type TestGateway } from "#test/support/gateway.ts";
import {
  maxPassedOver,
  mixedTrace,
  type Queue,
  type Started,
  simulate,
  type Timing,
  worstExtraSeconds,
} from "./support/model-simulation.ts";
import { seededRandom } from "./support/random.ts";
import { median, printTable, quantile, spread } from "./support/table.ts";

/*
 * How many models are loaded for a mixed trace (JOBS jobs, default 500, of USERS users, default 12, for five models) when the
 * queue prefers jobs for a model that the executor holds, and what that costs those who are passed over. Three queues in turn:
 * a plain first-in-first-out list, the upstash source that is not told which models are held (users in turn, no more), and
 * the source as executors use it. Time is simulated, the choice of each job is the real source's on a real Redis. RUNS
 * (default 5) traces each.
 */
const runs = Number(process.env.RUNS ?? 5);
const jobs = Number(process.env.JOBS ?? 500);
const users = Number(process.env.USERS ?? 12);
const jobSeconds = 6;
const loadSeconds = 12;
const contestants = ["list", "turns", "ours"] as const;
type Contestant = (typeof contestants)[number];

function upstash({ url, token, client }: TestGateway, executors: number, sendsHeld: boolean): Queue {
  const sources = Array.from({ length: executors }, (_, place) =>
    createUpstashSource({ url, token, workerId: `bench-${place}`, events: false, leaseSeconds: 3600 }),
  );
  const running = new Map<number, Lease>();
  const redis = client();
  return {
    push: async (pushed) => void (await redis.lpush("sdxl_queue", ...pushed.map((job) => JSON.stringify(job)))),
    async next(executor, heldModels) {
      const source = sources[executor];
      const done = running.get(executor);
      running.delete(executor);
      if (done !== undefined) await source?.complete(done, { assets: [], metadata: {} });
      const held = sendsHeld ? { heldModels } : {};
      const taken = await source?.take([{ worker: "sdxl", slots: 1, ...held }]);
      const lease = taken?.leases[0];
      if (lease !== undefined) running.set(executor, lease);
      return lease?.job ?? null;
    },
    close: async () => void (await Promise.all(sources.map((source) => source.close()))),
  };
}

function plainList({ client }: TestGateway): Queue {
  const redis = client({ automaticDeserialization: false });
  return {
    push: async (pushed) => void (await redis.lpush("plain_queue", ...pushed.map((job) => JSON.stringify(job)))),
    async next() {
      const element = await redis.rpop<string>("plain_queue");
      return element === null ? null : jobEnvelope.parse(JSON.parse(element));
    },
    close: async () => undefined,
  };
}

const open: Readonly<Record<Contestant, (gateway: TestGateway, executors: number) => Queue>> = {
  list: plainList,
  turns: (gateway, executors) => upstash(gateway, executors, false),
  ours: (gateway, executors) => upstash(gateway, executors, true),
};

const loads = [
  { name: "all at once", share: Number.POSITIVE_INFINITY },
  { name: "busy", share: 0.8 },
  { name: "quiet", share: 0.3 },
];
const places: readonly Pick<Timing, "executors" | "maxHeld">[] = [
  { executors: 1, maxHeld: 1 },
  { executors: 1, maxHeld: 2 },
  { executors: 2, maxHeld: 1 },
];

const gateway = await startTestGateway();
const loadRows: string[][] = [];
const waitRows: string[][] = [];
const waited = (started: readonly Started[], p: number) =>
  quantile(
    started.map(({ waitedSeconds }) => waitedSeconds),
    p,
  );

for (const { name, share } of loads) {
  for (const place of places) {
    const seen: Record<Contestant, Started[][]> = { list: [], turns: [], ours: [] };
    for (let run = 1; run <= runs; run++) {
      const trace = mixedTrace(seededRandom(run), {
        jobs,
        users,
        everySeconds: jobSeconds / (share * place.executors),
      });
      for (const contestant of contestants) {
        await gateway.client().flushall();
        const queue = open[contestant](gateway, place.executors);
        seen[contestant].push(await simulate(queue, trace, { ...place, jobSeconds, loadSeconds }));
        await queue.close();
      }
    }
    const heading = `${name}, ${place.executors} × ${place.maxHeld}`;
    const counts = (contestant: Contestant) =>
      seen[contestant].map((started) => started.filter(({ isLoad }) => isLoad).length);
    const ratio = median(counts("list")) / median(counts("ours"));
    loadRows.push([heading, ...contestants.map((each) => spread(counts(each), 0)), `${ratio.toFixed(2)}×`]);
    const middle = (read: (started: readonly Started[], run: number) => number, contestant: Contestant) =>
      median(seen[contestant].map(read)).toFixed(0);
    waitRows.push([
      heading,
      ...[0.5, 1].map((p) => contestants.map((each) => middle((started) => waited(started, p), each)).join(" / ")),
      middle((started, run) => worstExtraSeconds(started, seen.turns[run] ?? []), "ours"),
      String(Math.max(...seen.ours.map(maxPassedOver))),
    ]);
  }
}

const names = ["first in, first out", "users in turn", "ours"];
console.log(`Models loaded for ${jobs} jobs of ${users} users; ${runs} traces, median (least to most)\n`);
printTable([["arrivals, executors × models held", ...names, "first in, first out / ours"], ...loadRows]);
console.log(
  `\nSeconds that jobs wait, a job taking ${jobSeconds} s and a model's loading ${loadSeconds} s; medians of the traces\n`,
);
printTable([["", `median: ${names.join(" / ")}`, "worst: the same", "worst extra", "passed over"], ...waitRows]);
console.log(`
Busy: as many jobs as would keep the executors busy for 80 % of the time if nothing had to be loaded; quiet: 30 %.
Worst extra: how much longer than with users in turn alone the job that suffers most waits. Passed over: the most jobs of
the same user that came later and ran before (31 are allowed).`);
await gateway.close();
