import { describe, expect, it } from "vitest";
import { createScheduler, schedulerNames } from "./index.ts";

const path = "/m/scheduler_config.json";

describe("createScheduler", () => {
  it("knows class names and friendly names in any case", () => {
    const classes = schedulerNames.filter((name) => name.endsWith("Scheduler"));
    expect(classes).toHaveLength(new Set(classes).size);
    for (const name of schedulerNames) expect(classes).toContain(createScheduler(name, {}, path).className);
    expect(createScheduler("Euler_A", {}, path).className).toBe("EulerAncestralDiscreteScheduler");
  });

  it("lists what there is when a name is unknown, also one of Object's own", () => {
    expect(() => createScheduler("ddim2", {}, path)).toThrow(
      /unknown scheduler "ddim2"; there are: euler, .*TCDScheduler/,
    );
    expect(() => createScheduler("constructor", {}, path)).toThrow('unknown scheduler "constructor"');
  });

  it("names the file and the field of a config that cannot be", () => {
    expect(() => createScheduler("euler", { prediction_type: "x" }, path)).toThrow(
      /^\/m\/scheduler_config\.json: prediction_type: must be "epsilon", "sample"/,
    );
    expect(() => createScheduler("lms", { trained_betas: [0.1, 0.2] }, path)).toThrow(
      /trained_betas: must have num_train_timesteps \(1000\) values, not 2/,
    );
    for (const config of ["text", null, [1]]) {
      expect(() => createScheduler("dpm++_2m_karras", config, path)).toThrow(
        /scheduler_config.json: must be an object/,
      );
    }
  });

  it("lets a name say more than the model's config", () => {
    const sigmas = (name: string, config: object) => createScheduler(name, config, path).schedule(6).sigmas;
    const karras = { use_karras_sigmas: true };
    expect(sigmas("dpm++_2m_karras", {})).toEqual(sigmas("DPMSolverMultistepScheduler", karras));
    expect(sigmas("dpm++_2m_karras", { use_exponential_sigmas: true })).toEqual(sigmas("dpm++_2m_karras", {}));
    expect(sigmas("dpm++_2m", karras)).toEqual(sigmas("dpm++_2m_karras", {}));
    expect(sigmas("dpm++_2m", {})).not.toEqual(sigmas("dpm++_2m_karras", {}));
    const isStochastic = (name: string) =>
      createScheduler(name, { algorithm_type: "sde-dpmsolver++" }, path).schedule(3).noiseFor(0) !== undefined;
    expect(["dpm++_2m", "dpm++_2m_sde", "DPMSolverMultistepScheduler"].map(isStochastic)).toEqual([false, true, true]);
  });

  it("runs pndm without Runge-Kutta steps, and the class as its config says", () => {
    const calls = (name: string, steps: number) => createScheduler(name, {}, path).schedule(steps).timesteps.length;
    expect([calls("pndm", 2), calls("pndm", 8), calls("PNDMScheduler", 8)]).toEqual([3, 9, 17]);
    expect(() => calls("PNDMScheduler", 2)).toThrow("num_inference_steps must be at least 4");
  });

  it.each([
    ["EulerAncestralDiscreteScheduler", { prediction_type: "sample" }, "prediction_type sample"],
    [
      "DPMSolverMultistepScheduler",
      { use_flow_sigmas: true, variance_type: "learned" },
      "use_flow_sigmas, variance_type learned",
    ],
    [
      "DPMSolverMultistepScheduler",
      { algorithm_type: "dpmsolver" },
      "final_sigmas_type zero with algorithm_type dpmsolver",
    ],
    [
      "DPMSolverSinglestepScheduler",
      { algorithm_type: "dpmsolver" },
      "final_sigmas_type zero with algorithm_type dpmsolver",
    ],
    ["DPMSolverSinglestepScheduler", { algorithm_type: "sde-dpmsolver" }, "algorithm_type sde-dpmsolver"],
    ["UniPCMultistepScheduler", { predict_x0: false }, "final_sigmas_type zero with predict_x0 false"],
    ["DDPMScheduler", { variance_type: "learned_range" }, "variance_type learned_range"],
    [
      "LMSDiscreteScheduler",
      { use_beta_sigmas: true, use_karras_sigmas: true },
      "use_karras_sigmas and use_beta_sigmas together",
    ],
  ])("names what %s does not have", (name, config, message) => {
    expect(() => createScheduler(name, config, path)).toThrow(
      expect.objectContaining({
        code: "UNSUPPORTED_OPTION",
        message: `${name} runs without ${message}; change scheduler_config.json`,
      }),
    );
  });

  it("refuses steps beyond those that a model was distilled on, and few with Runge-Kutta steps", () => {
    expect(() => createScheduler("lcm", { original_inference_steps: 20 }, path).schedule(21)).toThrow(
      "from 1 to 20, not 21",
    );
    expect(() => createScheduler("PNDMScheduler", {}, path).schedule(3)).toThrow("at least 4 with PNDMScheduler");
    expect(() => createScheduler("ddim", { steps_offset: 1 }, path).schedule(1000)).toThrow(
      "leads to timestep 1000 of 1000",
    );
  });
});
