import { expect, test } from "vitest";
import { schedulerNames as contractNames } from "#contract/scheduler-names.ts";
import { schedulerNames } from "#pipelines/schedulers/index.ts";

test("a job may name the schedulers that there are, and no others", () => {
  expect([...contractNames]).toEqual([...schedulerNames]);
});
