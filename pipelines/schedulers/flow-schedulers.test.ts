import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { maxDifference } from "#pipelines/testing/compare.ts";
import { createFlowScheduler, flowSchedulerNames } from "./index.ts";
import { flowCases, flowDifference, flowStart, runFlow, velocity } from "./testing/flow-fidelity.ts";

const path = "/m/scheduler_config.json";
describe("flow schedulers", () => {
  it.each(
    flowCases.map(
      (reference) =>
        [`${reference.class_name}, ${reference.steps} steps, ${JSON.stringify(reference.config)}`, reference] as const,
    ),
  )("agree with diffusers: %s", (_, reference) => {
    const { class_name, config, steps, timesteps, sigmas } = reference;
    const schedule = createFlowScheduler(class_name, config, path).schedule(steps);
    expect(maxDifference(schedule.timesteps, timesteps)).toBeLessThanOrEqual(1e-4);
    expect(maxDifference(schedule.sigmas, sigmas)).toBeLessThanOrEqual(1e-7);
    expect(flowDifference(reference)).toBeLessThanOrEqual(1e-5);
    expect(runFlow(schedule).at(-1)?.every(Number.isFinite)).toBe(true);
  });

  const anyScheduler = fc.record({
    name: fc.constantFrom("unipc", "dpm++", "euler"),
    shift: fc.double({ min: 0.5, max: 12, noNaN: true }),
    order: fc.integer({ min: 1, max: 3 }),
    steps: fc.integer({ min: 1, max: 100 }),
  });

  it("fall from noise to image, whatever the configuration", () => {
    fc.assert(
      fc.property(anyScheduler, ({ name, shift, order, steps }) => {
        const { timesteps, sigmas, initNoiseSigma } = createFlowScheduler(name, { solver_order: order }, path, {
          flowShift: shift,
        }).schedule(steps);
        expect(timesteps).toHaveLength(steps);
        expect(sigmas).toHaveLength(steps + 1);
        expect(sigmas.at(-1)).toBe(0);
        expect(initNoiseSigma).toBe(1);
        for (let index = 1; index <= steps; index++) expect(sigmas[index]).toBeLessThan(sigmas[index - 1] ?? 0);
      }),
      { numRuns: 60 },
    );
  });

  it("follow a straight flow to its end, whatever the configuration", () => {
    // v = noise − image at every level: each solver integrates it exactly.
    const image = Float32Array.of(0.5, -1, 2);
    const noise = Float32Array.of(1, 0.25, -0.5);
    const straight = () => noise.map((value, index) => value - (image[index] ?? 0));
    fc.assert(
      fc.property(anyScheduler, ({ name, shift, order, steps }) => {
        const schedule = createFlowScheduler(name, { solver_order: order, shift }, path).schedule(steps);
        const first = schedule.sigmas[0] ?? 1;
        const sample = image.map((value, index) => (1 - first) * value + first * (noise[index] ?? 0));
        expect(maxDifference(runFlow(schedule, straight, sample).at(-1) ?? [], image)).toBeLessThan(1e-4);
      }),
      { numRuns: 60 },
    );
  });

  it("can run a schedule again from its start", () => {
    const schedule = createFlowScheduler("unipc", {}, path).schedule(5);
    expect(runFlow(schedule)).toEqual(runFlow(schedule));
  });

  it("leave the sample and the past alone when a preview is predicted", () => {
    const [plain, watched] = [5, 5].map((steps) => createFlowScheduler("unipc", {}, path).schedule(steps));
    const preview = new Float32Array(flowStart.length);
    const watchedModel = (sample: Float32Array, sigma: number) => {
      const predicted = velocity(sample, sigma);
      const index = watched?.sigmas.indexOf(sigma) ?? 0;
      watched?.predictOriginalSample(predicted, index, sample, preview);
      expect(
        maxDifference(
          preview,
          sample.map((x, k) => x - sigma * (predicted[k] ?? 0)),
        ),
      ).toBeLessThan(1e-6);
      return predicted;
    };
    if (plain === undefined || watched === undefined) throw new Error("no schedules");
    expect(runFlow(watched, watchedModel)).toEqual(runFlow(plain));
  });

  it("give the model its sample unchanged", () => {
    const out = new Float32Array(flowStart.length);
    createFlowScheduler("euler", {}, path).schedule(3).scaleModelInput(flowStart, 1, out);
    expect(out).toEqual(flowStart);
  });

  it("refuse a multistep solver's steps out of order, and a step that is not there", () => {
    const schedule = createFlowScheduler("dpm++", {}, path).schedule(4);
    const sample = flowStart.slice();
    schedule.step(sample, 0, sample, sample);
    expect(() => schedule.step(sample, 2, sample, sample)).toThrow("the next step is 1, not 2");
    expect(() => createFlowScheduler("euler", {}, path).schedule(2).step(sample, 2, sample, sample)).toThrow(
      "step 3 is outside of 2 steps",
    );
  });

  it("refuse steps that the training schedule does not have", () => {
    for (const name of flowSchedulerNames) {
      expect(() => createFlowScheduler(name, {}, path).schedule(0)).toThrow("from 1 to 1000, not 0");
      expect(() => createFlowScheduler(name, { num_train_timesteps: 10 }, path).schedule(11)).toThrow("from 1 to 10");
    }
  });
});

describe("createFlowScheduler", () => {
  const config = { _class_name: "UniPCMultistepScheduler", flow_shift: 3 };

  it("takes the config's own class, another by its name, and friendly names in any case", () => {
    expect(createFlowScheduler(undefined, config, path).className).toBe("UniPCMultistepScheduler");
    expect(createFlowScheduler("DPM++", config, path).className).toBe("DPMSolverMultistepScheduler");
    expect(createFlowScheduler("Euler", config, path).className).toBe("FlowMatchEulerDiscreteScheduler");
    for (const name of flowSchedulerNames)
      expect(flowSchedulerNames).toContain(createFlowScheduler(name, {}, path).className);
  });

  it("carries the shift from one class to another, and lets an option replace it", () => {
    const sigmas = (given: unknown, flowShift?: number) =>
      createFlowScheduler("unipc", given, path, { flowShift }).schedule(4).sigmas;
    expect(sigmas({ shift: 3 })).toEqual(sigmas({ flow_shift: 3 }));
    expect(sigmas({ flow_shift: 3, shift: 1 }, 8)).toEqual(sigmas({ flow_shift: 8 }));
    expect(sigmas({})).toEqual(sigmas({ flow_shift: 1 }));
    expect(sigmas({})).not.toEqual(sigmas({ flow_shift: 3 }));
  });

  it("names what is unknown, and a config without a class", () => {
    expect(() => createFlowScheduler("heun", config, path)).toThrow(
      'unknown scheduler "heun"; there are: unipc, dpm++, euler, UniPCMultistepScheduler',
    );
    expect(() => createFlowScheduler(undefined, { _class_name: "EulerDiscreteScheduler" }, path)).toThrow(
      'unknown scheduler "EulerDiscreteScheduler"',
    );
    expect(() => createFlowScheduler(undefined, {}, path)).toThrow(/scheduler_config.json: there is no _class_name/);
    expect(() => createFlowScheduler("unipc", "text", path)).toThrow(/scheduler_config.json: must be an object/);
  });

  it("names the variants that are not here, and the field that cannot be", () => {
    const requested = { thresholding: true, use_karras_sigmas: true, final_sigmas_type: "sigma_min" };
    expect(() => createFlowScheduler("unipc", requested, path)).toThrow(
      "UniPCMultistepScheduler runs without thresholding, use_karras_sigmas, final_sigmas_type sigma_min",
    );
    expect(() => createFlowScheduler("unipc", { flow_shift: 0 }, path)).toThrow(/flow_shift/);
    expect(() => createFlowScheduler("unipc", { solver_order: 4 }, path)).toThrow(/solver_order/);
  });
});
