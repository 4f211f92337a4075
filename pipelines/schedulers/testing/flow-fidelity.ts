import { readFileSync } from "node:fs";
import { z } from "zod";
import { maxDifference } from "#pipelines/testing/compare.ts";
import type { FidelityArea } from "#pipelines/testing/fidelity.ts";
import { createFlowScheduler } from "../index.ts";
import type { Schedule } from "../scheduler.ts";

const numbers = z.array(z.number());
const referenceCase = z.object({
  class_name: z.string(),
  config: z.record(z.string(), z.unknown()),
  steps: z.int(),
  timesteps: numbers,
  sigmas: numbers,
  trajectory: z.array(numbers),
});

export const flowCases = z
  .array(referenceCase)
  .parse(JSON.parse(readFileSync(new URL("../fixtures/flow-cases.json", import.meta.url), "utf8")));

/** The sample that the reference's runs begin with. */
export const flowStart = Float32Array.from({ length: 6 }, (_, index) => -2 + 0.8 * index);

/** The formula of the reference's model. */
export function velocity(sample: Float32Array, sigma: number): Float32Array {
  return sample.map((x, k) => Math.sin(3 * sigma + k) + x * (0.3 + 0.5 * sigma) - 0.1 * x * x);
}

/** The samples after each step. */
export function runFlow(schedule: Schedule, predict = velocity, sample = flowStart.slice()): Float32Array[] {
  schedule.begin();
  return Array.from(schedule.timesteps, (_, index) => {
    schedule.step(predict(sample, schedule.sigmas[index] ?? 0), index, sample, sample);
    return sample.slice();
  });
}

/** The largest difference of any sample of a case's run. */
export function flowDifference({ class_name, config, steps, trajectory }: (typeof flowCases)[number]): number {
  const samples = runFlow(createFlowScheduler(class_name, config, "reference").schedule(steps));
  return trajectory.reduce(
    (worst, expected, index) => Math.max(worst, maxDifference(samples[index] ?? [], expected)),
    trajectory.length < steps - 1 ? Infinity : 0,
  );
}

export const flowFidelity: FidelityArea = {
  title: "Schedulers of flow models",
  difference:
    "Largest difference of any sample of any step, of runs with a model that is a formula; samples are near 1.",
  cases: [...Map.groupBy(flowCases, ({ class_name }) => class_name)].map(([className, cases]) => ({
    setting: `\`${className}\`: ${cases.length} runs of 1 to 50 steps, every option, shifts 1 to 8`,
    reference: `diffusers' \`${className}\``,
    limit: 1e-5,
    measure: () => Math.max(...cases.map(flowDifference)),
  })),
};
