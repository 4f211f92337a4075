import { expect, it } from "vitest";
import type { QueueStats } from "#runtime/sources/job-source.ts";
import { QueueReading } from "./queue-reading.ts";

const empty: QueueStats = {
  queue: "test_queue",
  queued: 0,
  delayed: 0,
  running: 0,
  failed: 3,
  oldestQueuedSeconds: null,
  unoffered: [],
  pausedSinceMs: null,
};
const waiting: QueueStats = { ...empty, queued: 2, oldestQueuedSeconds: 7 };

/** A queue that answers what the test sets, counts the requests, and a clock that the test moves. */
function setUp(stats: () => Promise<QueueStats[]>, statsAge?: { busySeconds: number; restSeconds: number }) {
  const state = { requests: 0, nowMs: 1000, busy: false };
  const queue = {
    stats() {
      state.requests += 1;
      return stats();
    },
    ...(statsAge === undefined ? {} : { statsAge }),
  };
  const reading = new QueueReading({
    queue,
    isBusy: () => state.busy,
    limitMs: 20,
    monotonicMs: () => state.nowMs,
  });
  return { state, reading };
}

it("asks a queue again after two seconds, and says how old its answer is", async () => {
  const { state, reading } = setUp(async () => [waiting]);
  expect(await reading.read()).toEqual({ stats: [waiting], ageSeconds: 0 });
  state.nowMs += 1900;
  expect(await reading.read()).toEqual({ stats: [waiting], ageSeconds: 1.9 });
  expect(state.requests).toBe(1);
  state.nowMs += 100;
  expect(await reading.read()).toEqual({ stats: [waiting], ageSeconds: 0 });
  expect(state.requests).toBe(2);
});

it("asks a queue that is paid by the call as seldom as that says: at rest, and while jobs wait or run", async () => {
  let stats = [empty];
  const { state, reading } = setUp(async () => stats, { busySeconds: 60, restSeconds: 600 });
  const requestsAfter = async (seconds: number) => {
    const before = state.requests;
    state.nowMs += seconds * 1000;
    await reading.read();
    return state.requests - before;
  };
  expect(await requestsAfter(0)).toBe(1);
  expect(await requestsAfter(599)).toBe(0);
  expect(await requestsAfter(1)).toBe(1);
  state.busy = true;
  expect(await requestsAfter(59)).toBe(0);
  stats = [waiting];
  expect(await requestsAfter(1)).toBe(1);
  state.busy = false;
  expect(await requestsAfter(60)).toBe(1);
  stats = [empty];
  expect(await requestsAfter(60)).toBe(1);
  expect(await requestsAfter(60)).toBe(0);
});

it("asks a queue again at once after a change that was made here, a paid one within a bound", async () => {
  const free = setUp(async () => [empty]);
  await free.reading.read();
  free.reading.changed();
  await free.reading.read();
  await free.reading.read();
  expect(free.state.requests).toBe(2);

  let stats = [empty];
  const paid = setUp(async () => stats, { busySeconds: 60, restSeconds: 600 });
  await paid.reading.read();
  paid.state.nowMs += 120_000;
  stats = [waiting];
  paid.reading.changed();
  expect((await paid.reading.read()).stats).toEqual([waiting]);
  for (let n = 0; n < 50; n++) {
    paid.state.nowMs += 100;
    paid.reading.changed();
    await paid.reading.read();
  }
  expect(paid.state.requests).toBe(3);
});

it("hears a change that is made while it asks", async () => {
  const { promise, resolve } = Promise.withResolvers<QueueStats[]>();
  const answers = [promise, Promise.resolve([waiting])];
  const { state, reading } = setUp(() => answers.shift() ?? Promise.resolve([]));
  const first = reading.read();
  reading.changed();
  resolve([empty]);
  expect((await first).stats).toEqual([empty]);
  expect((await reading.read()).stats).toEqual([waiting]);
  expect(state.requests).toBe(2);
});

it("does not wait for a queue that does not answer, nor ask it twice, and takes its late answer", async () => {
  const { promise, resolve } = Promise.withResolvers<QueueStats[]>();
  const { state, reading } = setUp(() => promise);
  const answers = await Promise.all([reading.read(), reading.read(), reading.read()]);
  expect(answers.map(({ stats }) => stats)).toEqual([null, null, null]);
  expect((await reading.read()).stats).toBeNull();
  expect(state.requests).toBe(1);
  resolve([waiting]);
  await expect.poll(async () => (await reading.read()).stats).toEqual([waiting]);
  expect(state.requests).toBe(1);
});

it("does not ask a queue that failed at every scrape", async () => {
  const { state, reading } = setUp(() => Promise.reject(new Error("no connection")), {
    busySeconds: 60,
    restSeconds: 600,
  });
  expect((await reading.read()).stats).toBeNull();
  state.nowMs += 9000;
  expect((await reading.read()).stats).toBeNull();
  expect(state.requests).toBe(1);
  state.nowMs += 1000;
  await reading.read();
  expect(state.requests).toBe(2);
});
