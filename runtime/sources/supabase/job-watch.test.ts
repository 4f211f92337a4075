import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type DueJobs, JobWatch } from "./job-watch.ts";

/* How often is asked, on a clock that the test moves. */

const never = new AbortController().signal;
const nothing: DueJobs = { due: [], nextInMs: undefined };
let looks: number;
let answer: DueJobs;
let watched: () => DueJobs;
let watch: JobWatch;
let ended: number;

beforeEach(() => {
  vi.useFakeTimers();
  [looks, answer, ended] = [0, nothing, 0];
  watched = () => answer;
  watch = new JobWatch({
    monotonicMs: () => Date.now(),
    random: () => 0.5,
    firstMs: 300,
    maxMs: 5_000,
    async look() {
      looks += 1;
      return watched();
    },
  });
});

afterEach(async () => {
  await watch.close();
  vi.useRealTimers();
});

function wait(): void {
  void watch.wait(86_400_000, never).then(() => {
    ended += 1;
  });
}

describe("JobWatch", () => {
  test("asks less and less often at rest, and not at all when nobody waits", async () => {
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(looks).toBe(0);
    wait();
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(looks).toBeGreaterThan(700);
    expect(looks).toBeLessThan(740);
    expect(ended).toBe(0);
  });

  test("asks at once and often again after something has happened here", async () => {
    wait();
    await vi.advanceTimersByTimeAsync(60_000);
    const before = looks;
    watch.lookNow();
    await vi.advanceTimersByTimeAsync(0);
    expect(looks).toBe(before + 1);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(looks).toBeGreaterThan(before + 2);
  });

  test("looks when the next moment has come, in the middle of a long pause", async () => {
    wait();
    await vi.advanceTimersByTimeAsync(60_000);
    const momentMs = Date.now() + 7_300;
    const seen: number[] = [];
    watched = () => {
      seen.push(momentMs - Date.now());
      return Date.now() < momentMs
        ? { due: [], nextInMs: momentMs - Date.now() }
        : { due: ["1:1"], nextInMs: undefined };
    };
    await vi.advanceTimersByTimeAsync(7_290);
    expect(ended).toBe(0);
    await vi.advanceTimersByTimeAsync(20);
    expect(ended).toBe(1);
    expect(seen.length).toBeLessThanOrEqual(3);
  });

  test("tells of a job once, and again when it is due anew", async () => {
    answer = { due: ["1:100"], nextInMs: undefined };
    wait();
    await vi.advanceTimersByTimeAsync(10);
    expect(ended).toBe(1);
    wait();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(ended).toBe(1);
    answer = { due: ["1:90000"], nextInMs: undefined };
    await vi.advanceTimersByTimeAsync(6_000);
    expect(ended).toBe(2);
  });

  test("does not take what an earlier look saw for what it was stirred by", async () => {
    wait();
    await vi.advanceTimersByTimeAsync(60_000);
    const before = looks;
    watch.lookNow();
    watch.lookNow();
    await vi.advanceTimersByTimeAsync(0);
    watch.lookNow();
    await vi.advanceTimersByTimeAsync(0);
    expect(looks).toBe(before + 2);
  });
});
