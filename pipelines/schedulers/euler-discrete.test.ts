import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { maxDifference } from "#pipelines/testing/compare.ts";
import { createScheduler } from "./index.ts";

const tolerance = 1e-5;

const numbers = z.array(z.number());
const referenceCase = z.object({
  config: z.record(z.string(), z.unknown()),
  steps: z.int(),
  timesteps: numbers,
  sigmas: numbers,
  init_noise_sigma: z.number(),
  step: z.object({
    index: z.int(),
    sample: numbers,
    scaled_sample: numbers,
    model_output: numbers,
    prev_sample: numbers,
    pred_original_sample: numbers,
  }),
});
const cases = z
  .array(referenceCase)
  .parse(JSON.parse(readFileSync(new URL("../sdxl/fixtures/euler-cases.json", import.meta.url), "utf8")));

const euler = (config: unknown = {}) => createScheduler("euler", config, "scheduler_config.json");

/** Difference in units of the larger of 1 and the largest value: float32 has no more digits at sigma 4096. */
function difference(actual: ArrayLike<number>, expected: number[]): number {
  return maxDifference(actual, expected) / Math.max(1, ...expected.map(Math.abs));
}

describe("EulerDiscreteScheduler", () => {
  it.each(
    cases.map((reference) => [`${reference.steps} steps, ${JSON.stringify(reference.config)}`, reference] as const),
  )("agrees with diffusers: %s", (_, { config, steps, timesteps, sigmas, init_noise_sigma, step }) => {
    const schedule = euler(config).schedule(steps);
    expect(difference(schedule.timesteps, timesteps)).toBeLessThanOrEqual(tolerance);
    expect(difference(schedule.sigmas, sigmas)).toBeLessThanOrEqual(tolerance);
    expect(difference([schedule.initNoiseSigma], [init_noise_sigma])).toBeLessThanOrEqual(tolerance);

    const sample = Float32Array.from(step.sample);
    const modelOutput = Float32Array.from(step.model_output);
    const out = new Float32Array(sample.length);
    schedule.scaleModelInput(sample, step.index, out);
    expect(difference(out, step.scaled_sample)).toBeLessThanOrEqual(tolerance);
    schedule.predictOriginalSample(modelOutput, step.index, sample, out);
    expect(difference(out, step.pred_original_sample)).toBeLessThanOrEqual(tolerance);
    schedule.step(modelOutput, step.index, sample, sample);
    expect(difference(sample, step.prev_sample)).toBeLessThanOrEqual(tolerance);
  });

  it("falls from noise to image, whatever the configuration", () => {
    const config = fc.record({
      timestep_spacing: fc.constantFrom("leading", "linspace", "trailing"),
      beta_schedule: fc.constantFrom("linear", "scaled_linear", "squaredcos_cap_v2"),
      use_karras_sigmas: fc.boolean(),
      steps_offset: fc.constantFrom(0, 1),
    });
    fc.assert(
      fc.property(config, fc.integer({ min: 1, max: 150 }), (drawn, steps) => {
        const { timesteps, sigmas } = euler(drawn).schedule(steps);
        expect(sigmas).toHaveLength(timesteps.length + 1);
        expect(sigmas.at(-1)).toBe(0);
        for (let index = 1; index < timesteps.length; index++) {
          expect(timesteps[index]).toBeLessThan(timesteps[index - 1] ?? 0);
          expect(sigmas[index]).toBeLessThan(sigmas[index - 1] ?? 0);
        }
      }),
      { numRuns: 60 },
    );
  });

  it("reaches the predicted image in its last step", () => {
    const schedule = euler().schedule(4);
    const sample = Float32Array.of(1, -2, 3);
    const modelOutput = Float32Array.of(0.5, 0.25, -1);
    const original = new Float32Array(3);
    schedule.predictOriginalSample(modelOutput, 3, sample, original);
    schedule.step(modelOutput, 3, sample, sample);
    expect(maxDifference(sample, original)).toBeLessThan(1e-6);
  });

  it("refuses steps that the training schedule does not have", () => {
    expect(() => euler().schedule(0)).toThrow("from 1 to 1000, not 0");
    expect(() => euler({ num_train_timesteps: 10 }).schedule(11)).toThrow("from 1 to 10, not 11");
    expect(() => euler().schedule(2.5)).toThrow("not 2.5");
  });

  it("refuses two ways to spread sigmas at once", () => {
    expect(() => euler({ use_beta_sigmas: true, use_karras_sigmas: true })).toThrow(
      "EulerDiscreteScheduler runs without use_karras_sigmas and use_beta_sigmas together; change scheduler_config.json",
    );
  });
});
