import { nameFrom } from "./fields.ts";

/**
 * The names by which a job may choose a scheduler: what people call it, then diffusers' class name. They are those of the
 * pipelines' registry (`pipelines/schedulers/registry.ts`), which this module cannot import; a test compares the two.
 */
export const schedulerNames = [
  "euler",
  "euler_karras",
  "euler_a",
  "ddim",
  "ddpm",
  "dpm++",
  "dpm++_2m",
  "dpm++_2m_karras",
  "dpm++_2m_sde",
  "dpm++_2m_sde_karras",
  "dpm++_2m_sde_exponential",
  "dpm++_3m_sde",
  "dpm++_3m_sde_karras",
  "dpm++_2s",
  "dpm++_2s_karras",
  "dpm++_sde",
  "dpm++_sde_karras",
  "unipc",
  "unipc_karras",
  "heun",
  "heun_karras",
  "dpm2",
  "dpm2_karras",
  "dpm2_a",
  "dpm2_a_karras",
  "lms",
  "lms_karras",
  "pndm",
  "lcm",
  "tcd",
  "EulerDiscreteScheduler",
  "EulerAncestralDiscreteScheduler",
  "DDIMScheduler",
  "DDPMScheduler",
  "DPMSolverMultistepScheduler",
  "DPMSolverSinglestepScheduler",
  "UniPCMultistepScheduler",
  "HeunDiscreteScheduler",
  "KDPM2DiscreteScheduler",
  "KDPM2AncestralDiscreteScheduler",
  "DPMSolverSDEScheduler",
  "LMSDiscreteScheduler",
  "PNDMScheduler",
  "LCMScheduler",
  "TCDScheduler",
] as const;

/** Those of models that are trained on flow matching (WAN), where `euler` is another class. */
export const flowSchedulerNames = [
  "unipc",
  "dpm++",
  "euler",
  "UniPCMultistepScheduler",
  "DPMSolverMultistepScheduler",
  "FlowMatchEulerDiscreteScheduler",
] as const;

/** What web interfaces and node editors call them beyond that, as {@link schedulerKey} writes it. */
export const schedulerAliases: Readonly<Record<string, (typeof schedulerNames)[number]>> = {
  eulerancestral: "euler_a",
  "dpmsolver++": "dpm++",
  dpm2ancestral: "dpm2_a",
  dpm2ancestralkarras: "dpm2_a_karras",
  unipcbh2: "unipc",
  plms: "pndm",
};

/** Names that are the same but for case, spaces, hyphens, underscores, `pp` for `++` and a `gpu` at the end. */
export function schedulerKey(name: string): string {
  return name
    .toLowerCase()
    .replaceAll(/[\s_-]/g, "")
    .replace(/^dpmpp/, "dpm++")
    .replace(/gpu$/, "");
}

function knownIn<Name extends string>(names: readonly Name[]): (given: string) => Name | undefined {
  const byKey = new Map(names.map((name) => [schedulerKey(name), name]));
  for (const [alias, name] of Object.entries(schedulerAliases)) {
    const own = names.find((each) => each === name);
    if (own !== undefined) byKey.set(alias, own);
  }
  return (given) => byKey.get(schedulerKey(given));
}

export const schedulerName = nameFrom(schedulerNames, knownIn(schedulerNames));
export const flowSchedulerName = nameFrom(flowSchedulerNames, knownIn(flowSchedulerNames));
