import { expect, it } from "vitest";
import { samplerOf } from "./index.ts";

const euler = { _class_name: "EulerDiscreteScheduler" };

it.each([
  ["euler", euler, "Euler", undefined],
  ["EulerDiscreteScheduler", { ...euler, use_karras_sigmas: true }, "Euler", "Karras"],
  ["Euler_A", euler, "Euler a", undefined],
  ["dpm++_2m_karras", euler, "DPM++ 2M", "Karras"],
  ["dpm++_2m_sde_exponential", euler, "DPM++ 2M SDE", "Exponential"],
  ["dpm++_3m_sde", euler, "DPM++ 3M SDE", undefined],
  ["dpm++_2s", euler, "DPM++ 2S", undefined],
  ["dpm++_sde_karras", euler, "DPM++ SDE", "Karras"],
  ["DPMSolverMultistepScheduler", { algorithm_type: "sde-dpmsolver++" }, "DPM++ 2M SDE", undefined],
  ["dpm2_a", { ...euler, use_beta_sigmas: true }, "DPM2 a", "Beta"],
  ["pndm", euler, "PLMS", undefined],
  ["unipc", euler, "UniPC", undefined],
  ["SomeNewScheduler", null, "SomeNewScheduler", undefined],
])("is what other tools call %s", (name, config, sampler, scheduleType) => {
  expect(samplerOf(name, config)).toEqual({ sampler, scheduleType });
});
