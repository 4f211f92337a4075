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
    expect(goldenDifference(run)).toBeLessThanOrEqual(goldenLimit);
  });
});

it("has runs of every class that there is", () => {
  const classes = schedulerNames.filter((name) => name.endsWith("Scheduler"));
  expect(new Set(goldenRuns.map(({ class_name }) => class_name))).toEqual(new Set(classes));
});
