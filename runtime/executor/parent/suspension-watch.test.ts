import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { SuspensionWatch } from "./suspension-watch.ts";

const maxMs = 4000;
let steadyMs: number;
let wallMs: number;
let isStopped: boolean;
let exceeded: number;
let watch: SuspensionWatch;

beforeEach(() => {
  vi.useFakeTimers();
  [steadyMs, wallMs, isStopped, exceeded] = [0, 1_000_000, false, 0];
  watch = new SuspensionWatch({
    pid: 1,
    maxMs,
    onExceeded: () => exceeded++,
    isStopped: () => isStopped,
    steadyMs: () => steadyMs,
    wallMs: () => wallMs,
  });
});

afterEach(() => {
  vi.useRealTimers();
});

function pass(ms: number): void {
  for (let passed = 0; passed < ms; passed += 100) {
    steadyMs += 100;
    wallMs += 100;
    vi.advanceTimersByTime(100);
  }
}

it("puts nothing down to a stop while all goes on", () => {
  pass(60_000);
  expect(watch.close()).toBe(false);
});

it("reports an executor that is stopped for too long, once, and puts its end down to that", () => {
  isStopped = true;
  pass(maxMs / 2);
  isStopped = false;
  pass(maxMs / 2);
  isStopped = true;
  pass(maxMs - 500);
  expect(exceeded).toBe(0);
  pass(60_000);
  expect(exceeded).toBe(1);
  expect(watch.close()).toBe(true);
});

it.each([
  ["was stopped", { steady: maxMs, wall: maxMs }],
  ["slept with the machine", { steady: 0, wall: maxMs }],
])("puts an end down to it that this process %s, also before any timer has run since", (_what, { steady, wall }) => {
  steadyMs += steady;
  wallMs += wall;
  expect(watch.close()).toBe(true);
});

it("does so for a while after it went on, and not for ever", () => {
  steadyMs += maxMs;
  pass(4000);
  expect(watch.close()).toBe(true);
  steadyMs += 2000;
  expect(watch.close()).toBe(false);
});
