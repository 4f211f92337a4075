import { expect, it } from "vitest";
import { flowSchedulerName, schedulerAliases, schedulerKey, schedulerName, schedulerNames } from "./scheduler-names.ts";

it.each([
  // As web interfaces write them.
  ["Euler a", "euler_a"],
  ["DPM++ 2M", "dpm++_2m"],
  ["DPM++ 2M Karras", "dpm++_2m_karras"],
  ["DPM++ 2M SDE Exponential", "dpm++_2m_sde_exponential"],
  ["DPM2 a Karras", "dpm2_a_karras"],
  ["UniPC", "unipc"],
  ["PLMS", "pndm"],
  ["LMS Karras", "lms_karras"],
  // As node editors do.
  ["euler_ancestral", "euler_a"],
  ["dpmpp_2m", "dpm++_2m"],
  ["dpmpp_2m_sde_gpu", "dpm++_2m_sde"],
  ["dpm_2_ancestral", "dpm2_a"],
  ["uni_pc_bh2", "unipc"],
  // And diffusers' own.
  ["eulerancestraldiscretescheduler", "EulerAncestralDiscreteScheduler"],
])("knows %s", (given, expected) => {
  expect(schedulerName.parse(given)).toBe(expected);
});

it("takes each name for itself, and no two for one", () => {
  expect(schedulerNames.map((name) => schedulerName.parse(name))).toEqual([...schedulerNames]);
  const keys = [...schedulerNames.map(schedulerKey), ...Object.keys(schedulerAliases)];
  expect(new Set(keys).size).toBe(keys.length);
  for (const alias of Object.keys(schedulerAliases)) expect(schedulerKey(alias)).toBe(alias);
});

it("takes a flow model's names in the same ways", () => {
  expect(["Uni PC", "dpmpp", "EULER"].map((name) => flowSchedulerName.parse(name))).toEqual([
    "unipc",
    "dpm++",
    "euler",
  ]);
});

it.each(["", "constructor", "dpm++_9m", "euler b", 3, []])("refuses %j", (given) => {
  expect(schedulerName.safeParse(given).success).toBe(false);
});
