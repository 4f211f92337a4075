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
  expect([pause.failed(0), pause.failed(1)]).toEqual([500, 1000]);
  pause.ready(10_000);
  expect(pause.failed(69_999)).toBe(2000);
  pause.ready(70_000);
  expect(pause.failed(130_000)).toBe(500);
  // The minute counts once: what fails at its start after it is not healthy.
  expect(pause.failed(190_000)).toBe(1000);
});

it("begins anew after a requested restart", () => {
  const pause = new RestartPause(60_000);
  pause.failed(0);
  pause.reset();
  expect(pause.failed(1)).toBe(500);
});
