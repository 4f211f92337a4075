import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { StageTimer, type TimedStage } from "./stage-timer.ts";

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000, toFake: ["Date", "performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

it("reports each stage once, from the end of the one before it to its own last part", () => {
  const reported: TimedStage[] = [];
  const timer = new StageTimer((stage) => reported.push(stage));
  const after = (ms: number, name: string) => {
    vi.advanceTimersByTime(ms);
    timer.reached(name);
  };
  after(500, "encode");
  after(1000, "denoise");
  after(2000, "denoise");
  after(250, "decode");
  vi.advanceTimersByTime(50);
  timer.ended("save");
  expect(reported).toEqual([
    { name: "encode", startedAtMs: 1_000_000, seconds: 0.5 },
    { name: "denoise", startedAtMs: 1_000_500, seconds: 3 },
    { name: "decode", startedAtMs: 1_003_500, seconds: 0.25 },
    { name: "save", startedAtMs: 1_003_750, seconds: 0.05 },
  ]);
});

it("reports a stage that comes again, for the next part of the images, again", () => {
  const reported: TimedStage[] = [];
  const timer = new StageTimer((stage) => reported.push(stage));
  for (const name of ["denoise", "decode", "denoise", "decode"]) timer.reached(name);
  timer.ended("save");
  expect(reported.map(({ name }) => name)).toEqual(["denoise", "decode", "denoise", "decode", "save"]);
});
