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

it.each([Number.NaN, Number.POSITIVE_INFINITY])("names the step whose prediction has %d", async (bad) => {
  const broken = denoise({
    // It clips to −1…1, which would make a number of infinity.
    schedule: createScheduler("ddim", { clip_sample: true }, "test").schedule(4),
    latents: latents(),
    predict: async (sample, index) =>
      tensor(
        sample.data.map((value) => (index === 2 ? bad : value)),
        [1, 3],
      ),
  });
  await expect(broken).rejects.toMatchObject({
    code: "NUMERICAL_ERROR",
    message: expect.stringContaining("the model's prediction in step 3 of 4"),
  });
});

it("names the step whose latents are no numbers", async () => {
  const broken = denoise({
    schedule: schedule(),
    latents: latents(),
    predict: async (sample, index) => tensor(new Float32Array(3).fill(index === 0 ? 3e38 : 0), sample.dims),
  });
  await expect(broken).rejects.toMatchObject({
    code: "NUMERICAL_ERROR",
    message: expect.stringContaining("the latents after step 1 of 4"),
  });
});

it("lets a solver forget what was before a turn", async () => {
  const run = async (turns?: ReadonlySet<number>) => {
    const found: number[][] = [];
    await denoise({
      schedule: createScheduler("unipc", { beta_schedule: "scaled_linear" }, "test").schedule(6),
      latents: latents(),
      turns,
      predict: async (sample, index) =>
        tensor(
          sample.data.map((value) => Math.sin(value + index)),
          sample.dims,
        ),
      onStep: ({ latents: { data } }) => void found.push([...data]),
    });
    return found;
  };
  const [straight, turned] = [await run(), await run(new Set([3]))];
  expect(turned.slice(0, 3)).toEqual(straight.slice(0, 3));
  expect(turned[3]).not.toEqual(straight[3]);
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

it("begins at a later step, and hands what each step made to be changed before it is reported", async () => {
  const seen: string[] = [];
  const after: number[] = [];
  const result = await denoise({
    schedule: schedule(),
    startStep: 2,
    latents: latents(),
    predict: async (sample, index) => {
      seen.push(`predict ${index}`);
      return tensor(new Float32Array(3), sample.dims);
    },
    afterStep: (made, index) => {
      after.push(index);
      made.data[0] = 7;
    },
    onStep: ({ step, total, stepIndex, latents: made }) =>
      seen.push(`${step}/${total} is ${stepIndex}: ${made.data.join(" ")}`),
  });
  expect(seen).toEqual(["predict 2", "1/2 is 2: 7 -2 3", "predict 3", "2/2 is 3: 7 -2 3"]);
  expect(after).toEqual([2, 3]);
  expect([...result.data]).toEqual([7, -2, 3]);
});
