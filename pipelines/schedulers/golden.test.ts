import { describe, expect, it } from "vitest";
import { schedulerNames } from "./index.ts";
import { goldenDifference } from "./testing/golden-runs.ts";
import { goldenLimit, goldenRuns } from "./testing/scheduler-fidelity.ts";

describe.each([...Map.groupBy(goldenRuns, ({ class_name }) => class_name)])("%s", (_, runs) => {
  it.each(
    runs.map((run) => {
      const { config, steps, eta, begin } = run;
      return [JSON.stringify({ ...config, trained_betas: undefined, steps, eta, begin }), run] as const;
    }),
  )("agrees with diffusers: %s", (_name, run) => {
    expect(goldenDifference(run)).toBeLessThanOrEqual(goldenLimit(run.class_name));
  });
});

it("has runs of every class that there is", () => {
  const classes = schedulerNames.filter((name) => name.endsWith("Scheduler"));
  expect(new Set(goldenRuns.map(({ class_name }) => class_name))).toEqual(new Set(classes));
});

it("walks the Brownian path that torchsde walks: most runs agree as closely as those of other schedulers", () => {
  const runs = goldenRuns.filter(({ class_name }) => class_name === "DPMSolverSDEScheduler");
  const close = runs.filter((run) => goldenDifference(run) <= 1e-5);
  expect(close.length).toBeGreaterThanOrEqual(runs.length / 2);
}, 120_000);
