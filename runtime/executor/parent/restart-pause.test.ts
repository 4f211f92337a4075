import { expect, it } from "vitest";
import { RestartPause, restartDelayMs } from "./restart-pause.ts";

it("waits longer with each failure, up to the limit", () => {
  const delays = Array.from({ length: 12 }, (_, failures) => restartDelayMs(failures, 60_000));
  expect(delays.slice(0, 4)).toEqual([500, 1000, 2000, 4000]);
  expect(delays.at(-1)).toBe(60_000);
  expect(restartDelayMs(1e6, 60_000)).toBe(60_000);
});

it("goes back to the first pause after a minute in good health, and not before", () => {
  const pause = new RestartPause(60_000);
  expect([pause.failed(0, false), pause.failed(1, false)]).toEqual([500, 1000]);
  pause.ready(10_000);
  expect(pause.failed(69_999, false)).toBe(2000);
  pause.ready(70_000);
  expect(pause.failed(130_000, false)).toBe(500);
  // The minute counts once: what fails at its start after it is not healthy.
  expect(pause.failed(190_000, false)).toBe(1000);
});

it("stays at the first pause for a process that dies of its jobs, however often", () => {
  const pause = new RestartPause(60_000);
  const delays = Array.from({ length: 12 }, (_, index) => {
    pause.ready(index * 1000);
    return pause.failed(index * 1000 + 10, true);
  });
  expect(new Set(delays)).toEqual(new Set([500]));
});

it("begins anew after a job that was run to its end, and after a requested restart", () => {
  const pause = new RestartPause(60_000);
  pause.failed(0, false);
  pause.failed(1, false);
  pause.reset();
  expect(pause.failed(2, false)).toBe(500);
});
