import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { EarlierJobs } from "./earlier-jobs.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }));
afterEach(() => void vi.useRealTimers());

/** Kept for ten seconds; `named` is what the platform is pinged with at each change. */
function open() {
  const named: (readonly string[])[] = [];
  const jobs: EarlierJobs = new EarlierJobs(
    10,
    () => performance.now(),
    () => void named.push(jobs.ids),
  );
  return { jobs, named };
}

it("says so when the time of one is over, and which are left", () => {
  const { jobs, named } = open();
  jobs.renewed("a");
  vi.advanceTimersByTime(4_000);
  jobs.renewed("b");
  vi.advanceTimersByTime(6_000);
  expect(jobs.ids).toEqual(["a", "b"]);
  vi.advanceTimersByTime(1);
  expect(named).toEqual([["b"]]);
  vi.advanceTimersByTime(60_000);
  expect(named).toEqual([["b"], []]);
});

it("keeps one that is renewed again, for as long as it is", () => {
  const { jobs, named } = open();
  jobs.renewed("a");
  jobs.renewed("b");
  for (let seconds = 0; seconds < 60; seconds += 5) {
    vi.advanceTimersByTime(5_000);
    jobs.renewed("a");
  }
  expect(named).toEqual([["a"]]);
  expect(jobs.ended("a")).toBe(true);
  vi.advanceTimersByTime(60_000);
  expect(named).toEqual([["a"]]);
});
