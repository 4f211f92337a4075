import { DdimScheduler, ddimConfig } from "./ddim.ts";
import { DdpmScheduler, ddpmConfig } from "./ddpm.ts";
import { DpmSolverMultistepScheduler, dpmSolverMultistepConfig } from "./dpm-solver-multistep.ts";
import { DpmSolverSdeScheduler, dpmSolverSdeConfig } from "./dpm-solver-sde.ts";
import { DpmSolverSinglestepScheduler, dpmSolverSinglestepConfig } from "./dpm-solver-singlestep.ts";
import { EulerAncestralDiscreteScheduler, eulerAncestralConfig } from "./euler-ancestral-discrete.ts";
import { EulerDiscreteScheduler, eulerDiscreteConfig } from "./euler-discrete.ts";
import { HeunDiscreteScheduler, heunConfig } from "./heun-discrete.ts";
import { KDpm2Scheduler, kDpm2Config } from "./k-dpm-2-discrete.ts";
import { LcmScheduler, lcmConfig } from "./lcm.ts";
import { LmsDiscreteScheduler, lmsConfig } from "./lms-discrete.ts";
import { PndmScheduler, pndmConfig } from "./pndm.ts";
import type { Scheduler } from "./scheduler.ts";
import { TcdScheduler, tcdConfig } from "./tcd.ts";
import { UniPcMultistepScheduler, uniPcMultistepConfig } from "./unipc-multistep.ts";

export interface SchedulerOptions {
  /** How much of DDPM's noise DDIM adds, and the γ of TCD: 0 (as in diffusers' pipelines) to 1. */
  readonly eta?: number | undefined;
}

type Factory = (config: unknown, options: SchedulerOptions) => Scheduler;

/** Schedulers of models that were trained on noise, by diffusers' class name. */
export const factories = {
  EulerDiscreteScheduler: (config) => new EulerDiscreteScheduler(eulerDiscreteConfig.parse(config)),
  EulerAncestralDiscreteScheduler: (config) => new EulerAncestralDiscreteScheduler(eulerAncestralConfig.parse(config)),
  DDIMScheduler: (config, { eta = 0 }) => new DdimScheduler(ddimConfig.parse(config), eta),
  DDPMScheduler: (config) => new DdpmScheduler(ddpmConfig.parse(config)),
  DPMSolverMultistepScheduler: (config) => new DpmSolverMultistepScheduler(dpmSolverMultistepConfig.parse(config)),
  DPMSolverSinglestepScheduler: (config) => new DpmSolverSinglestepScheduler(dpmSolverSinglestepConfig.parse(config)),
  UniPCMultistepScheduler: (config) => new UniPcMultistepScheduler(uniPcMultistepConfig.parse(config)),
  HeunDiscreteScheduler: (config) => new HeunDiscreteScheduler(heunConfig.parse(config)),
  KDPM2DiscreteScheduler: (config) => new KDpm2Scheduler("KDPM2DiscreteScheduler", kDpm2Config.parse(config)),
  KDPM2AncestralDiscreteScheduler: (config) =>
    new KDpm2Scheduler("KDPM2AncestralDiscreteScheduler", kDpm2Config.parse(config)),
  DPMSolverSDEScheduler: (config) => new DpmSolverSdeScheduler(dpmSolverSdeConfig.parse(config)),
  LMSDiscreteScheduler: (config) => new LmsDiscreteScheduler(lmsConfig.parse(config)),
  PNDMScheduler: (config) => new PndmScheduler(pndmConfig.parse(config)),
  LCMScheduler: (config) => new LcmScheduler(lcmConfig.parse(config)),
  TCDScheduler: (config, { eta = 0 }) => new TcdScheduler(tcdConfig.parse(config), eta),
} as const satisfies Record<string, Factory>;

export type SchedulerClass = keyof typeof factories;

interface FriendlyName {
  readonly className: SchedulerClass;
  /** What the name says beyond the class, whatever the model's config has. */
  readonly config: Readonly<Record<string, unknown>>;
}

const spread = (key: "use_karras_sigmas" | "use_exponential_sigmas") => ({
  use_karras_sigmas: false,
  use_exponential_sigmas: false,
  use_beta_sigmas: false,
  use_lu_lambdas: false,
  [key]: true,
});
const karras = spread("use_karras_sigmas");
const exponential = spread("use_exponential_sigmas");
const solver = (algorithm: string, order: number) => ({ algorithm_type: algorithm, solver_order: order });

const named = (className: SchedulerClass, config: FriendlyName["config"] = {}): FriendlyName => ({ className, config });
const dpm = (config: FriendlyName["config"]) => named("DPMSolverMultistepScheduler", config);

/** Names that people use for them. One without an ending takes the spread of sigmas from the model's config. */
export const friendlyNames = {
  euler: named("EulerDiscreteScheduler"),
  euler_karras: named("EulerDiscreteScheduler", karras),
  euler_a: named("EulerAncestralDiscreteScheduler"),
  ddim: named("DDIMScheduler"),
  ddpm: named("DDPMScheduler"),
  "dpm++": dpm(solver("dpmsolver++", 2)),
  "dpm++_2m": dpm(solver("dpmsolver++", 2)),
  "dpm++_2m_karras": dpm({ ...solver("dpmsolver++", 2), ...karras }),
  "dpm++_2m_sde": dpm(solver("sde-dpmsolver++", 2)),
  "dpm++_2m_sde_karras": dpm({ ...solver("sde-dpmsolver++", 2), ...karras }),
  "dpm++_2m_sde_exponential": dpm({ ...solver("sde-dpmsolver++", 2), ...exponential }),
  "dpm++_3m_sde": dpm(solver("sde-dpmsolver++", 3)),
  "dpm++_3m_sde_karras": dpm({ ...solver("sde-dpmsolver++", 3), ...karras }),
  "dpm++_2s": named("DPMSolverSinglestepScheduler", solver("dpmsolver++", 2)),
  "dpm++_2s_karras": named("DPMSolverSinglestepScheduler", { ...solver("dpmsolver++", 2), ...karras }),
  "dpm++_sde": named("DPMSolverSDEScheduler"),
  "dpm++_sde_karras": named("DPMSolverSDEScheduler", karras),
  unipc: named("UniPCMultistepScheduler"),
  unipc_karras: named("UniPCMultistepScheduler", karras),
  heun: named("HeunDiscreteScheduler"),
  heun_karras: named("HeunDiscreteScheduler", karras),
  dpm2: named("KDPM2DiscreteScheduler"),
  dpm2_karras: named("KDPM2DiscreteScheduler", karras),
  dpm2_a: named("KDPM2AncestralDiscreteScheduler"),
  dpm2_a_karras: named("KDPM2AncestralDiscreteScheduler", karras),
  lms: named("LMSDiscreteScheduler"),
  lms_karras: named("LMSDiscreteScheduler", karras),
  // Runge-Kutta steps are for pictures of pixels; Stable Diffusion's own configs leave them out.
  pndm: named("PNDMScheduler", { skip_prk_steps: true }),
  lcm: named("LCMScheduler"),
  tcd: named("TCDScheduler"),
} as const satisfies Record<string, FriendlyName>;
