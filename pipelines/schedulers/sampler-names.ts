import type { SchedulerClass } from "./registry.ts";

/** What a picture's text says of its sampler, in the words of the AUTOMATIC1111 web UI, which other tools read. */
export interface SamplerNames {
  readonly sampler: string;
  /** The spread of sigmas: `Karras`. Undefined where it is the sampler's usual one. */
  readonly scheduleType: string | undefined;
}

type Config = Readonly<Record<string, unknown>>;

const samplers: Readonly<
  Record<SchedulerClass | "FlowMatchEulerDiscreteScheduler", string | ((config: Config) => string)>
> = {
  EulerDiscreteScheduler: "Euler",
  EulerAncestralDiscreteScheduler: "Euler a",
  DDIMScheduler: "DDIM",
  DDPMScheduler: "DDPM",
  DPMSolverMultistepScheduler: (config) => {
    const order = config.solver_order === 3 ? "3M" : "2M";
    return `DPM++ ${order}${String(config.algorithm_type).startsWith("sde-") ? " SDE" : ""}`;
  },
  DPMSolverSinglestepScheduler: "DPM++ 2S",
  UniPCMultistepScheduler: "UniPC",
  HeunDiscreteScheduler: "Heun",
  KDPM2DiscreteScheduler: "DPM2",
  KDPM2AncestralDiscreteScheduler: "DPM2 a",
  DPMSolverSDEScheduler: "DPM++ SDE",
  LMSDiscreteScheduler: "LMS",
  PNDMScheduler: "PLMS",
  LCMScheduler: "LCM",
  TCDScheduler: "TCD",
  FlowMatchEulerDiscreteScheduler: "Euler",
};

const spreads = [
  ["use_karras_sigmas", "Karras"],
  ["use_exponential_sigmas", "Exponential"],
  ["use_beta_sigmas", "Beta"],
] as const;

/**
 * @param className diffusers' name; one that the web UI has no word for is left as it is
 * @param config the scheduler's own, with what a job's choice says on top
 */
export function samplerNames(className: string, config: Config): SamplerNames {
  const known = Object.entries(samplers).find(([name]) => name === className)?.[1] ?? className;
  return {
    sampler: typeof known === "string" ? known : known(config),
    scheduleType: spreads.find(([field]) => config[field] === true)?.[1],
  };
}
