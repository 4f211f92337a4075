import { setTimeout as pause } from "node:timers/promises";
import { type Job, jobEnvelope } from "#contract/job.ts";
import { createUpstashSource } from "#runtime/sources/upstash/upstash-source.ts";
import { startTestGateway, type TestGateway } from "#test/support/gateway.ts";
import { seededRandom, shuffled } from "./support/random.ts";
import { median, printTable, spread } from "./support/table.ts";

/*
 * One user with 1,000 jobs and nine with 10 each, before one worker: whose jobs wait how long, with the upstash source and
 * with a plain first-in-first-out list on the same Redis (LPUSH and RPOP over the same gateway). Both get the same jobs in
 * the same order, and each job takes the same time. Waits are counted in jobs that ran before, which is exact, and
 * measured in seconds. Each of RUNS (default 5) runs has another order of arrival.
 */
const runs = Number(process.env.RUNS ?? 5);
const serviceMs = 2;
const nine = Array.from({ length: 9 }, (_, place) => `user-${place}`);
const one = "user-with-many";
const highPriority = 9;

interface Arrival {
  readonly job: Job;
  /** It is pushed when so many jobs have run. */
  readonly slot: number;
}

interface Served {
  readonly job: Job;
  /** How many jobs ran between its arrival and its start. */
  readonly waitedJobs: number;
  readonly waitedMs: number;
  readonly place: number;
}

/** A queue in front of one worker that takes one job after the other. */
interface Line {
  push(jobs: readonly Job[]): Promise<void>;
  /** Takes the next job, works on it, and says that it is done. */
  serve(work: (job: Job) => Promise<void>): Promise<void>;
  close(): Promise<void>;
}

function ours({ url, token, client }: TestGateway): Line {
  const source = createUpstashSource({ url, token, workerId: "bench", events: false });
  const redis = client();
  return {
    push: async (jobs) => void (await redis.lpush("sdxl_queue", ...jobs.map((job) => JSON.stringify(job)))),
    async serve(work) {
      const {
        leases: [lease],
      } = await source.take([{ worker: "sdxl", slots: 1 }]);
      if (lease === undefined) throw new Error("no job is due");
      await work(lease.job);
      await source.complete(lease, { assets: [], metadata: {} });
    },
    close: () => source.close(),
  };
}

function plainList({ client }: TestGateway): Line {
  const redis = client({ automaticDeserialization: false });
  return {
    push: async (jobs) => void (await redis.lpush("plain_queue", ...jobs.map((job) => JSON.stringify(job)))),
    async serve(work) {
      const element = await redis.rpop<string>("plain_queue");
      if (element === null) throw new Error("no job is due");
      await work(jobEnvelope.parse(JSON.parse(element)));
    },
    close: async () => undefined,
  };
}

const jobsOf = (user: string, count: number, priority = 0) =>
  Array.from({ length: count }, (_, place) =>
    jobEnvelope.parse({
      id: `${user}-${priority}-${place}`,
      type: "sdxl_image_fast",
      prompt: "a lighthouse at dawn",
      user_id: user,
      priority,
    }),
  );

type Scenario = (random: () => number) => Arrival[];

/** The nine come just after the thousand. */
const atOnce: Scenario = (random) =>
  [
    ...jobsOf(one, 1000),
    ...shuffled(
      nine.flatMap((user) => jobsOf(user, 10)),
      random,
    ),
  ].map((job) => ({ job, slot: 0 }));

/** Each of the nine comes, with all ten jobs, at some moment while the thousand are worked off. */
const oneByOne: Scenario = (random) => [
  ...jobsOf(one, 1000).map((job) => ({ job, slot: 0 })),
  ...nine.flatMap((user) => {
    const slot = Math.floor(random() * 900);
    return jobsOf(user, 10).map((job) => ({ job, slot }));
  }),
];

/** Now and then one of the users has a job of high priority. */
const urgent: Scenario = (random) => [
  ...jobsOf(one, 1000).map((job) => ({ job, slot: 0 })),
  ...[one, ...nine].flatMap((user) => {
    const slot = Math.floor(random() * 900);
    return jobsOf(user, 2, highPriority).map((job) => ({ job, slot }));
  }),
];

async function serveAll(line: Line, arrivals: readonly Arrival[]): Promise<Served[]> {
  const bySlot = Map.groupBy(arrivals, ({ slot }) => slot);
  const arrivedMs = new Map<string, number>();
  const slotOf = new Map(arrivals.map(({ job, slot }) => [job.id, slot]));
  const served: Served[] = [];
  for (let slot = 0; slot < arrivals.length; slot++) {
    const due = bySlot.get(slot) ?? [];
    if (due.length > 0) await line.push(due.map(({ job }) => job));
    for (const { job } of due) arrivedMs.set(job.id, performance.now());
    await line.serve(async (job) => {
      const waitedMs = performance.now() - (arrivedMs.get(job.id) ?? Number.NaN);
      served.push({ job, waitedJobs: slot - (slotOf.get(job.id) ?? Number.NaN), waitedMs, place: slot });
      await pause(serviceMs);
    });
  }
  return served;
}

/** Jain's index: 1 when all values are the same, 1/n when one has everything. */
function jainIndex(values: readonly number[]): number {
  const sum = values.reduce((total, value) => total + value, 0);
  return sum ** 2 / (values.length * values.reduce((total, value) => total + value ** 2, 0));
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const of = (served: readonly Served[], ...users: readonly string[]) =>
  served.filter(({ job }) => users.includes(job.user_id));
const waits = (served: readonly Served[]) => served.map(({ waitedJobs }) => waitedJobs);

/** The share of the worker that each user has while all of them have jobs waiting: the first hundred jobs. */
function shareIndex(served: readonly Served[]): number {
  const first = served.filter(({ place }) => place < 100);
  return jainIndex([one, ...nine].map((user) => of(first, user).length));
}

/** Like for like: how long each user's ten oldest jobs wait, on average. */
function firstTenIndex(served: readonly Served[]): number {
  const waited = [one, ...nine].map((user) => {
    const oldest = of(served, user).filter(({ job }) => Number(job.id.split("-").at(-1)) < 10);
    return mean(waits(oldest));
  });
  return jainIndex(waited);
}

interface Measure {
  readonly name: string;
  readonly digits: number;
  /** Whether less is better. */
  readonly isCost: boolean;
  read(served: readonly Served[]): number;
}

const cost = (name: string, read: Measure["read"], digits = 0): Measure => ({ name, digits, isCost: true, read });
const index = (name: string, read: Measure["read"]): Measure => ({ name, digits: 3, isCost: false, read });

const waitMeasures = [
  cost("worst wait of the nine, jobs", (served) => Math.max(...waits(of(served, ...nine)))),
  cost("mean wait of the nine, jobs", (served) => mean(waits(of(served, ...nine)))),
  cost(
    "worst wait of the nine, s",
    (served) => Math.max(...of(served, ...nine).map(({ waitedMs }) => waitedMs)) / 1000,
    2,
  ),
  cost("mean wait of the one, jobs", (served) => mean(waits(of(served, one)))),
  cost("mean wait of all jobs, jobs", (served) => mean(waits(served))),
];

const scenarios: readonly {
  readonly name: string;
  readonly arrivals: Scenario;
  readonly measures: readonly Measure[];
}[] = [
  {
    name: "One user with 1,000 jobs, then nine with 10 each",
    arrivals: atOnce,
    measures: [
      index("Jain index, share of the worker while all wait", shareIndex),
      index("Jain index, wait of each user's ten oldest jobs", firstTenIndex),
      index("Jain index, wait of all jobs of each user", (served) =>
        jainIndex([one, ...nine].map((user) => mean(waits(of(served, user))))),
      ),
      ...waitMeasures,
    ],
  },
  {
    name: "The nine come at some moment while the 1,000 are worked off",
    arrivals: oneByOne,
    measures: waitMeasures,
  },
  {
    name: "1,000 jobs, and 20 of priority 9 that come while they are worked off",
    arrivals: urgent,
    measures: [
      cost("worst wait of priority 9, jobs", (served) =>
        Math.max(...waits(served.filter(({ job }) => job.priority === highPriority))),
      ),
      cost("jobs of priority 0 that ran before one of priority 9", overtaken),
    ],
  },
];

/** Jobs that were started while one of higher priority waited. */
function overtaken(served: readonly Served[]): number {
  const high = served.filter(({ job }) => job.priority === highPriority);
  return served.filter(
    ({ job, place }) =>
      job.priority < highPriority &&
      high.some((other) => other.place > place && other.place - other.waitedJobs <= place),
  ).length;
}

const gateway = await startTestGateway();
for (const { name, arrivals, measures } of scenarios) {
  const served: Record<"ours" | "list", Served[][]> = { ours: [], list: [] };
  for (let run = 1; run <= runs; run++) {
    for (const [contestant, open] of [
      ["ours", ours],
      ["list", plainList],
    ] as const) {
      await gateway.client().flushall();
      const line = open(gateway);
      served[contestant].push(await serveAll(line, arrivals(seededRandom(run))));
      await line.close();
    }
  }
  console.log(`\n${name}; ${runs} runs: median (least to most)\n`);
  printTable([
    ["", "ours", "first in, first out", "ratio"],
    ...measures.map(({ name: what, digits, isCost, read }) => {
      const own = served.ours.map(read);
      const peer = served.list.map(read);
      const ratio = isCost ? median(peer) / median(own) : median(own) / median(peer);
      return [what, spread(own, digits), spread(peer, digits), Number.isFinite(ratio) ? `${ratio.toFixed(2)}×` : "all"];
    }),
  ]);
}
console.log(`
The ratio says how many times as good ours is. Waits of all jobs of each user are far apart in a fair queue: who asks for
1,000 waits for 1,000. The two indices above it compare what users have in common.`);
await gateway.close();
