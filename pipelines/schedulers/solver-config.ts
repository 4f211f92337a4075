import { z } from "zod";
import { roundHalfEven } from "#pipelines/core/round-half-even.ts";
import type { Levels } from "./base-schedule.ts";
import { clippingFields, respacingFields, spacingFields, trainingFields, zeroSnrField } from "./config.ts";
import type { SigmaTable } from "./sigma-levels.ts";
import { respacedSigmas, type SigmaSpacing, solverTimesteps, type TimestepSpacing } from "./spacing.ts";

/** Keys that the multistep solvers share. */
export const solverFields = {
  ...trainingFields(),
  ...spacingFields("linspace"),
  ...respacingFields,
  ...clippingFields,
  prediction_type: z.enum(["epsilon", "sample", "v_prediction", "flow_prediction"]).default("epsilon"),
  rescale_betas_zero_snr: zeroSnrField,
  solver_order: z.int().min(1).max(3).default(2),
  lower_order_final: z.boolean().default(true),
  final_sigmas_type: z.enum(["zero", "sigma_min"]).default("zero"),
  use_flow_sigmas: z.boolean().nullish(),
};

/** Keys of both DPM solvers. */
export const dpmFields = {
  /** diffusers reads the name of another class's solver as its own default. */
  algorithm_type: z.preprocess(
    (name) => (name === "deis" ? "dpmsolver++" : name),
    z.enum(["dpmsolver", "dpmsolver++", "sde-dpmsolver", "sde-dpmsolver++"]).default("dpmsolver++"),
  ),
  /** Names of other classes' solvers are read as the default. */
  solver_type: z.enum(["midpoint", "heun", "logrho", "bh1", "bh2"]).default("midpoint"),
  lambda_min_clipped: z.number().nullish(),
  variance_type: z.string().nullish(),
};

interface Clipped {
  readonly lambda_min_clipped?: number | null | undefined;
  readonly num_train_timesteps: number;
}

/** One more than the last timestep whose λ is not clipped. */
export function endTimestepOf(
  { lambda_min_clipped: limit, num_train_timesteps: trained }: Clipped,
  table: SigmaTable,
): number {
  if (limit === undefined || limit === null) return trained;
  // λ falls with time, and is −log σ.
  return table.logSigmas.reduce((count, logSigma) => count - (-logSigma < limit ? 1 : 0), trained);
}

interface SolverSpacing extends TimestepSpacing, SigmaSpacing {
  readonly final_sigmas_type: "zero" | "sigma_min";
  readonly beta_schedule: string;
}

export interface SolverLevelOptions {
  /** One more than the last timestep that is used. */
  readonly endTimestep?: number;
  /** Whether Karras' timesteps are whole. */
  readonly roundsKarras: boolean;
  /** Spread by λ, in the place of the three ways of the config. */
  readonly useLuLambdas?: boolean;
  /** Whether sigmas that are spread anew end at their own smallest, where they end at one. */
  readonly endsAtOwnSmallest: boolean;
}

/**
 * Levels of a run, as diffusers' multistep solvers lay them out: spaced by timestep, or spread between the ends of the
 * whole training schedule. Timesteps are whole numbers; those of sigmas that are spread anew are cut or rounded.
 */
export function solverLevels(
  config: SolverSpacing,
  table: SigmaTable,
  count: number,
  options: SolverLevelOptions,
): Levels {
  const spaced = solverTimesteps(config, count, options.endTimestep);
  const trained = Float64Array.from(table.sigmas).reverse();
  const spacing = options.useLuLambdas ? { use_exponential_sigmas: true } : config;
  const sigmas = respacedSigmas(spacing, trained, count);
  const ends = config.final_sigmas_type === "sigma_min";
  if (sigmas === trained) {
    const own = Float32Array.from(spaced, (timestep) => table.at(timestep));
    return { timesteps: spaced, sigmas: Float32Array.of(...own, ends ? table.smallest : 0) };
  }
  const isRounded = (config.use_karras_sigmas === true || options.useLuLambdas === true) && options.roundsKarras;
  const whole = isRounded ? roundHalfEven : Math.trunc;
  const timesteps = Float32Array.from(sigmas, (sigma) => whole(table.timestepOf(sigma)));
  const smallest = options.endsAtOwnSmallest ? (sigmas[sigmas.length - 1] ?? 0) : table.smallest;
  return { timesteps, sigmas: Float32Array.of(...sigmas, ends ? smallest : 0) };
}
