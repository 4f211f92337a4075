import { expect, it } from "vitest";
import { JobChannel } from "./job-channel.ts";

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** A number from 0 up to `count`, the same in each run of the test. */
function dice(seed: number) {
  let state = seed + 1;
  return (count: number) => {
    state = (state * 16_807) % 2_147_483_647;
    return state % count;
  };
}

/** What is posted of one job, in the order in which the posts arrive. */
async function run(seed: number): Promise<readonly string[]> {
  const pick = dice(seed);
  const arrived: string[] = [];
  let nowMs = 0;
  const post = async (what: string) => {
    for (let turns = pick(6); turns > 0; turns--) await turn();
    if (pick(10) === 0) throw new Error("the platform is away");
    arrived.push(what);
  };
  const channel = new JobChannel({
    postProgress: (progress) => post(`progress ${progress}`),
    postChunk: pick(2) === 0 ? undefined : (text) => post(`chunk ${text}`),
    progressEveryMs: 0,
    monotonicMs: () => nowMs,
  });
  for (let step = 1; step <= 8; step++) {
    nowMs += pick(2000);
    channel.progress(step);
    channel.text("m");
    if (pick(3) === 0) await turn();
  }
  await channel.finish();
  arrived.push("end");
  channel.progress(9);
  channel.text("m");
  for (let turns = 0; turns < 10; turns++) await turn();
  return arrived;
}

it("has nothing on its way when the end of the job is posted, in 1,000 runs", async () => {
  const runs = await Promise.all(Array.from({ length: 1000 }, (_, seed) => run(seed)));
  for (const arrived of runs) {
    expect(arrived.indexOf("end")).toBe(arrived.length - 1);
    const steps = arrived.flatMap((what) => (what.startsWith("progress ") ? [Number(what.slice(9))] : []));
    expect(steps).toEqual(steps.toSorted((one, other) => one - other));
  }
  expect(runs.flat().filter((what) => what.startsWith("progress")).length).toBeGreaterThan(1000);
  expect(runs.flat().filter((what) => what.startsWith("chunk")).length).toBeGreaterThan(500);
});

it("posts nothing of an attempt while something of the one before is on its way", async () => {
  const arrived: string[] = [];
  const { promise: slow, resolve: arrive } = Promise.withResolvers<void>();
  const channel = new JobChannel({
    postProgress: async (progress) => {
      if (progress === "first") await slow;
      arrived.push(String(progress));
    },
    postChunk: undefined,
    progressEveryMs: 0,
    monotonicMs: () => 0,
  });
  channel.progress("first");
  channel.nextAttempt();
  channel.progress("second");
  let isFinished = false;
  const finished = channel.finish().then(() => {
    isFinished = true;
  });
  for (let turns = 0; turns < 10; turns++) await turn();
  expect([isFinished, arrived]).toEqual([false, []]);
  arrive();
  await finished;
  expect(arrived).toEqual(["first"]);
});
