import { expect, it } from "vitest";
import { tensor } from "#pipelines/core/tensor.ts";
import { createScheduler } from "#pipelines/schedulers/index.ts";
import { denoise } from "./denoise.ts";

const schedule = () => createScheduler("euler", { beta_schedule: "scaled_linear" }, "test").schedule(4);
const latents = () => tensor(Float32Array.of(1, -2, 3), [1, 3]);

it("moves latents of any shape along the schedule and reports every step", async () => {
  const steps: string[] = [];
  const result = await denoise({
    schedule: schedule(),
    latents: latents(),
    // A denoiser that takes all of the latents for noise at their sigma: the clean latents are nothing.
    predict: async (sample, index) => {
      const sigma = schedule().sigmas[index] ?? 1;
      return tensor(
        sample.data.map((value) => value / sigma),
        sample.dims,
      );
    },
    onStep: ({ step, total }) => steps.push(`${step}/${total}`),
  });
  expect(steps).toEqual(["1/4", "2/4", "3/4", "4/4"]);
  expect(result.dims).toEqual([1, 3]);
  for (const value of result.data) expect(Math.abs(value)).toBeLessThan(1e-5);
});

it("names the step whose latents are no numbers", async () => {
  const broken = denoise({
    schedule: schedule(),
    latents: latents(),
    predict: async (sample, index) =>
      tensor(
        sample.data.map((value) => (index === 2 ? Number.NaN : value)),
        [1, 3],
      ),
  });
  await expect(broken).rejects.toMatchObject({
    code: "NUMERICAL_ERROR",
    message: expect.stringContaining("after step 3 of 4"),
  });
});

it("lets other work in between two steps and stops before the next one", async () => {
  const controller = new AbortController();
  let calls = 0;
  const running = denoise({
    schedule: schedule(),
    latents: latents(),
    signal: controller.signal,
    predict: async (sample) => {
      calls++;
      setImmediate(() => controller.abort(new Error("cancelled")));
      return sample;
    },
  });
  await expect(running).rejects.toThrow("cancelled");
  expect(calls).toBe(1);
});
