import { pino } from "pino";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { defaultTimings } from "./options.ts";
import { Poller, type PollerOptions } from "./poller.ts";
import type { HttpAnswer } from "./protocol/take-answer.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }));
afterEach(() => void vi.useRealTimers());

const answer: HttpAnswer = { status: 200, contentType: "application/json", text: '{"id":"a"}' };

async function turns(): Promise<void> {
  for (let count = 0; count < 5; count++) await new Promise(setImmediate);
}

/** One poll whose answer the test lets begin and end. */
function poll(use: PollerOptions["onAnswer"] = () => ({ kind: "received" })) {
  const came = Promise.withResolvers<HttpAnswer>();
  const requested = Promise.withResolvers<Parameters<PollerOptions["api"]["get"]>[1]>();
  const received: HttpAnswer[] = [];
  const logged: unknown[] = [];
  let polls = 0;
  const log = pino({ level: "error" }, { write: (line: string) => void logged.push(JSON.parse(line).msg) });
  const poller = new Poller({
    api: {
      get: (_url, options) => {
        requested.resolve(options);
        options.signal.addEventListener("abort", () => came.reject(options.signal.reason));
        return came.promise;
      },
    },
    timings: defaultTimings,
    log,
    random: () => 1,
    monotonicMs: () => performance.now(),
    what: "the take of jobs",
    next: () => (polls++ < 2 ? "http://runpod/job-take" : null),
    onAnswer: (one) => {
      received.push(one);
      return use(one);
    },
  });
  poller.go();
  return { poller, requested: requested.promise, came, received, logged };
}

it("waits for the rest of an answer that has begun, however late it began", async () => {
  const { poller, requested, came, received, logged } = poll();
  const { signal, onAnswer } = await requested;
  vi.advanceTimersByTime(defaultTimings.pollLimitMs - 1);
  onAnswer?.();
  vi.advanceTimersByTime(defaultTimings.answerLimitMs - 1);
  expect(signal.aborted).toBe(false);
  came.resolve(answer);
  poller.stop();
  await poller.stopped();
  expect(received).toEqual([answer]);
  expect(logged).toEqual([]);
});

it("cuts off an answer whose rest does not come, which is logged", async () => {
  const { poller, requested, received, logged } = poll();
  const { signal, onAnswer } = await requested;
  onAnswer?.();
  vi.advanceTimersByTime(defaultTimings.answerLimitMs);
  expect(signal.aborted).toBe(true);
  await vi.waitFor(() => expect(poller.trouble?.message).toContain("its answer did not end within 60 seconds"));
  poller.stop();
  await poller.stopped();
  expect(received).toEqual([]);
  expect(logged[0]).toContain("an answer to the take of jobs was cut off");
});

it("ends a poll without an answer at its limit, which is no trouble", async () => {
  const { poller, requested, logged } = poll();
  const { signal } = await requested;
  vi.advanceTimersByTime(defaultTimings.pollLimitMs + 1000);
  expect(signal.aborted).toBe(true);
  poller.stop();
  await poller.stopped();
  expect(poller.trouble).toBeNull();
  expect(logged).toEqual([]);
});

it("waits for the rest of an answer at the stop, and cuts it off after seconds, loudly", async () => {
  const { poller, requested, logged } = poll();
  const { signal, onAnswer } = await requested;
  onAnswer?.();
  poller.stop();
  await turns();
  expect(signal.aborted).toBe(false);
  vi.advanceTimersByTime(3_000);
  await poller.stopped();
  expect(logged).toEqual([expect.stringContaining("was cut off")]);
});

it("takes what is in the socket already at the stop", async () => {
  const { poller, requested, came, received } = poll();
  const { signal, onAnswer } = await requested;
  poller.stop();
  onAnswer?.();
  await turns();
  expect(signal.aborted).toBe(false);
  came.resolve(answer);
  await poller.stopped();
  expect(received).toEqual([answer]);
});

it("gives a poll that has just begun the moment at the stop in which jobs that wait are handed out", async () => {
  const { poller, requested, came, received } = poll();
  const { signal, onAnswer } = await requested;
  poller.stop();
  await turns();
  vi.advanceTimersByTime(299);
  await turns();
  expect(signal.aborted).toBe(false);
  onAnswer?.();
  came.resolve(answer);
  await poller.stopped();
  expect(received).toEqual([answer]);
});

it("ends a poll without an answer at the stop: an older one at once, a new one after that moment", async () => {
  for (const [ageMs, leftMs] of [
    [300, 0],
    [100, 200],
  ] as const) {
    const { poller, requested, received } = poll();
    const { signal } = await requested;
    vi.advanceTimersByTime(ageMs);
    poller.stop();
    await turns();
    expect(signal.aborted).toBe(leftMs === 0);
    vi.advanceTimersByTime(leftMs);
    await poller.stopped();
    expect(signal.aborted).toBe(true);
    expect(received).toEqual([]);
  }
});

it("does not take its own error at an answer for one of the network", async () => {
  const { poller, requested, came, logged } = poll(() => {
    throw new TypeError("it is no text");
  });
  (await requested).onAnswer?.();
  came.resolve(answer);
  await vi.waitFor(() => expect(poller.trouble?.code).toBe("INTERNAL"));
  expect(poller.trouble?.message).toBe("What RunPod has answered the take of jobs could not be used: it is no text.");
  expect(logged[0]).toContain("came and could not be used to its end");
  expect(logged.join()).not.toContain("cut off");
  poller.stop();
  await poller.stopped();
});
