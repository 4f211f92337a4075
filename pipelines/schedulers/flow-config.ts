import { z } from "zod";
import { unsupportedOption } from "#pipelines/core/errors.ts";

/**
 * `scheduler_config.json` as the flow-matching schedulers read it, whichever class wrote it; keys of other schedulers and
 * of diffusers itself are let through.
 */
export const flowConfig = z.object({
  num_train_timesteps: z.int().positive().default(1000),
  flow_shift: z.number().positive().nullish(),
  shift: z.number().positive().nullish(),
  shift_terminal: z.number().nullish(),
  solver_order: z.int().min(1).max(3).default(2),
  solver_type: z.string().optional(),
  lower_order_final: z.boolean().default(true),
  disable_corrector: z.array(z.int()).default([]),
  predict_x0: z.boolean().default(true),
  algorithm_type: z.string().default("dpmsolver++"),
  final_sigmas_type: z.string().default("zero"),
  thresholding: z.boolean().default(false),
  use_dynamic_shifting: z.boolean().default(false),
  use_karras_sigmas: z.boolean().nullish(),
  use_exponential_sigmas: z.boolean().nullish(),
  use_beta_sigmas: z.boolean().nullish(),
  use_lu_lambdas: z.boolean().nullish(),
  invert_sigmas: z.boolean().default(false),
  stochastic_sampling: z.boolean().default(false),
  solver_p: z.unknown().optional(),
});

export type FlowConfig = z.output<typeof flowConfig>;

/** The factor by which noise levels are moved towards noise: `flow_shift`, `shift` with FlowMatchEuler, or 1. */
export function flowShift(config: FlowConfig): number {
  return config.flow_shift ?? config.shift ?? 1;
}

/** @throws PipelineError UNSUPPORTED_OPTION naming what the config requests and no flow scheduler here has */
export function checkFlowConfig(className: string, config: FlowConfig): void {
  const unsupported = {
    thresholding: config.thresholding,
    use_dynamic_shifting: config.use_dynamic_shifting,
    use_karras_sigmas: config.use_karras_sigmas === true,
    use_exponential_sigmas: config.use_exponential_sigmas === true,
    use_beta_sigmas: config.use_beta_sigmas === true,
    use_lu_lambdas: config.use_lu_lambdas === true,
    invert_sigmas: config.invert_sigmas,
    stochastic_sampling: config.stochastic_sampling,
    solver_p: config.solver_p !== undefined && config.solver_p !== null,
    "predict_x0 false": !config.predict_x0,
    [`algorithm_type ${config.algorithm_type}`]: config.algorithm_type !== "dpmsolver++",
    // diffusers then repeats the last noise level, and the last step does nothing.
    [`final_sigmas_type ${config.final_sigmas_type}`]: config.final_sigmas_type !== "zero",
  };
  const names = Object.entries(unsupported).flatMap(([name, isSet]) => (isSet ? [name] : []));
  if (names.length > 0) {
    throw unsupportedOption(`${className} runs without ${names.join(", ")}; change scheduler_config.json`);
  }
}
