import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { awakeTimeout } from "./awake-timeout.ts";

let nowMs: number;
let isOver: boolean;
let clear: () => void;

beforeEach(() => {
  vi.useFakeTimers();
  [nowMs, isOver] = [0, false];
  clear = awakeTimeout(
    12_000,
    () => {
      isOver = true;
    },
    () => nowMs,
  );
});

afterEach(() => {
  vi.useRealTimers();
});

function pass(ms: number): void {
  for (let passed = 0; passed < ms; passed += 100) {
    nowMs += 100;
    vi.advanceTimersByTime(100);
  }
}

it("is over after its time", () => {
  pass(11_900);
  expect(isOver).toBe(false);
  pass(100);
  expect(isOver).toBe(true);
});

it("does not count the time in which the process was stopped", () => {
  pass(3000);
  nowMs += 600_000;
  pass(7900);
  expect(isOver).toBe(false);
  pass(1100);
  expect(isOver).toBe(true);
});

it("is never over once it is cleared", () => {
  clear();
  pass(60_000);
  expect(isOver).toBe(false);
});
