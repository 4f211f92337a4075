import { describe, expect, it } from "vitest";
import { NoiseSource } from "#pipelines/diffusion/noise.ts";
import { maxDifference } from "#pipelines/testing/compare.ts";
import { createFlowScheduler, createScheduler, flowSchedulerNames, schedulerNames } from "./index.ts";
import type { Schedule, Scheduler } from "./scheduler.ts";

const path = "/m/scheduler_config.json";
const sdxlConfig = {
  beta_start: 0.00085,
  beta_end: 0.012,
  beta_schedule: "scaled_linear",
  timestep_spacing: "leading",
  skip_prk_steps: true,
};

/** Every scheduler that there is, by every name of it. */
const makers: readonly (readonly [string, () => Scheduler])[] = [
  ...schedulerNames.map((name) => [name, () => createScheduler(name, sdxlConfig, path)] as const),
  ...flowSchedulerNames.map(
    (name) => [`${name} (flow)`, () => createFlowScheduler(name, { flow_shift: 3 }, path)] as const,
  ),
];

const imageSize = 8;
const image = Float32Array.from({ length: imageSize }, (_, index) => Math.sin(index));

/** The samples after each call, for the images of these seeds; the model is a formula. */
function run(schedule: Schedule, seeds: readonly number[], stepIndex = 0): Float32Array[] {
  schedule.begin({ stepIndex, imageSize });
  const source = new NoiseSource(seeds);
  const originals = Float32Array.from(
    { length: seeds.length * imageSize },
    (_, index) => image[index % imageSize] ?? 0,
  );
  const sample = source.draw([imageSize]).data;
  if (stepIndex > 0) schedule.addNoise(originals, sample, stepIndex, sample);
  else
    for (let index = 0; index < sample.length; index++) sample[index] = (sample[index] ?? 0) * schedule.initNoiseSigma;
  const input = new Float32Array(sample.length);
  return Array.from(schedule.timesteps.subarray(stepIndex), (timestep, offset) => {
    const index = stepIndex + offset;
    schedule.scaleModelInput(sample, index, input);
    const output = input.map((value) => Math.tanh(value * 0.8 + timestep / 5000));
    schedule.step(output, index, sample, sample, source.forStep(schedule.noiseFor(index), [imageSize]));
    return sample.slice();
  });
}

describe.each(makers)("%s", (name, make) => {
  // A distilled model has no more steps than it was distilled on.
  const maxSteps = /LCM|TCD/i.test(name) ? 50 : 1000;

  it.each([1, 2, 3, 7, 20, 50, 61, 250, 1000].filter((steps) => steps <= maxSteps))(
    "lays out %i steps that fall from noise to image",
    (steps) => {
      const schedule = make().schedule(steps);
      const { timesteps, sigmas, order, numInferenceSteps, initNoiseSigma } = schedule;
      expect(numInferenceSteps).toBe(steps);
      expect(sigmas).toHaveLength(timesteps.length + 1);
      expect(timesteps.length).toBeGreaterThanOrEqual((steps - 1) * order + 1);
      expect(initNoiseSigma).toBeGreaterThan(0.9);
      for (const values of [timesteps, sigmas]) {
        expect(values.every(Number.isFinite)).toBe(true);
        // Calls within a step may be anywhere; the steps fall.
        const ofSteps = values.filter((_, index) => index % order === 0);
        expect(ofSteps.every((value, index) => index === 0 || value <= (ofSteps[index - 1] ?? 0))).toBe(true);
      }
    },
  );

  it("makes numbers of the shape of the sample, the same each time, whatever ran before on the schedule", () => {
    const schedule = make().schedule(9);
    const first = run(schedule, [5, 6]);
    expect(first.at(-1)).toHaveLength(2 * imageSize);
    expect(first.flatMap((sample) => [...sample]).every(Number.isFinite)).toBe(true);
    expect(run(schedule, [8])).not.toEqual(first);
    expect(run(schedule, [5, 6])).toEqual(first);
    expect(run(make().schedule(9), [5, 6])).toEqual(first);
  });

  it("draws each image of a batch as it draws it alone", () => {
    const batch = run(make().schedule(6), [3, 4, 5]);
    for (const [index, seed] of [3, 4, 5].entries()) {
      const single = run(make().schedule(6), [seed]);
      expect(single.map((sample) => [...sample])).toEqual(
        batch.map((sample) => [...sample.subarray(index * imageSize, (index + 1) * imageSize)]),
      );
    }
  });

  it("begins at any step, with the image's latents and noise", () => {
    const schedule = make().schedule(10);
    for (const step of [1, 4, 9]) {
      const samples = run(schedule, [1], step * schedule.order);
      expect(samples.length).toBe(schedule.timesteps.length - step * schedule.order);
      expect(samples.at(-1)?.every(Number.isFinite)).toBe(true);
    }
    expect(() => schedule.begin({ stepIndex: schedule.timesteps.length })).toThrow(RangeError);
    expect(() => schedule.begin({ stepIndex: -1 })).toThrow(RangeError);
  });

  it("adds noise that a true prediction takes away again", () => {
    const schedule = make().schedule(10);
    const noise = new NoiseSource([2]).draw([imageSize]).data;
    const noisy = new Float32Array(imageSize);
    for (const step of [0, 3, 8]) {
      const index = step * schedule.order;
      schedule.addNoise(image, noise, index, noisy);
      const prediction = name.endsWith("(flow)") ? noise.map((value, k) => value - (image[k] ?? 0)) : noise;
      schedule.predictOriginalSample(prediction, index, noisy, noisy);
      expect(maxDifference(noisy, image)).toBeLessThan(1e-4);
    }
  });

  it("refuses steps that the training schedule does not have", () => {
    for (const steps of [0, -1, 1001, 2.5, Number.NaN])
      expect(() => make().schedule(steps)).toThrow("whole number from 1");
  });
});
