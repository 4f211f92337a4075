import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ChangeWatch } from "./change-watch.ts";

const never = new AbortController().signal;
let changes: number;
let watch: ChangeWatch;

beforeEach(() => {
  vi.useFakeTimers();
  changes = 0;
  watch = new ChangeWatch(() => {
    if (changes === 0) return 100;
    changes -= 1;
    return 0;
  });
});

afterEach(() => {
  expect(vi.getTimerCount(), "timers left behind").toBe(0);
  vi.useRealTimers();
});

/** Begins a wait and returns whether it has ended. */
function begin(timeoutMs = 10_000): () => boolean {
  let ended = false;
  void watch.wait(timeoutMs, never).then(() => {
    ended = true;
  });
  return () => ended;
}

test("a change that one poll finds ends every wait", async () => {
  const ended = [begin(), begin()];
  await vi.advanceTimersByTimeAsync(300);
  changes = 1;
  await vi.advanceTimersByTimeAsync(100);
  expect(ended.map((each) => each())).toEqual([true, true]);
});

test("a wait that begins while another ends is polled for", async () => {
  begin();
  watch.notify();
  const second = begin();
  await vi.advanceTimersByTimeAsync(50);
  changes = 1;
  await vi.advanceTimersByTimeAsync(100);
  expect(second()).toBe(true);
});

test("a notification that nobody waits for ends the next wait, and no other", async () => {
  watch.notify();
  watch.notify();
  const first = begin();
  await vi.advanceTimersByTimeAsync(0);
  expect(first()).toBe(true);
  const second = begin(400);
  await vi.advanceTimersByTimeAsync(399);
  expect(second()).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  expect(second()).toBe(true);
});

test("a notification that ended a wait does not end the next one", async () => {
  begin();
  watch.notify();
  await vi.advanceTimersByTimeAsync(0);
  const next = begin(400);
  await vi.advanceTimersByTimeAsync(399);
  expect(next()).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
});

test("a poll that fails does not end a wait, and is tried again", async () => {
  let polls = 0;
  watch = new ChangeWatch(() => {
    polls += 1;
    throw new Error("the disk does not answer");
  });
  const ended = begin(5000);
  await vi.advanceTimersByTimeAsync(4999);
  expect(ended()).toBe(false);
  expect(polls).toBeGreaterThan(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(ended()).toBe(true);
});
