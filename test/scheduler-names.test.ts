import { expect, test } from "vitest";
import { flowSchedulerNames as contractFlowNames, schedulerNames as contractNames } from "#contract/scheduler-names.ts";
import { flowSchedulerNames, schedulerNames } from "#pipelines/schedulers/index.ts";

test("a job may name the schedulers that there are, and no others", () => {
  expect([...contractNames]).toEqual([...schedulerNames]);
  expect([...contractFlowNames]).toEqual([...flowSchedulerNames]);
});
