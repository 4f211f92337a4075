import { z } from "zod";
import type { Levels } from "./base-schedule.ts";
import { contradictions, refuseUnsupported, schedulerConfig } from "./config.ts";
import { type DpmAlgorithm, dpmFactors } from "./dpm-solver-coefficients.ts";
import {
  combine,
  type Difference,
  diffusionScale,
  MultistepSchedule,
  type SolverOptions,
} from "./multistep-schedule.ts";
import type { Schedule, Scheduler, StepNoise } from "./scheduler.ts";
import { SigmaTable } from "./sigma-levels.ts";
import { addScaled, required } from "./sigma-schedule.ts";
import { dpmFields, endTimestepOf, solverFields, solverLevels } from "./solver-config.ts";
import { checkSteps } from "./spacing.ts";

const { timestep_spacing: _spacing, rescale_betas_zero_snr: _zeroSnr, ...fields } = solverFields;

export const dpmSolverSinglestepConfig = schedulerConfig({
  ...fields,
  ...dpmFields,
  lower_order_final: z.boolean().default(false),
});

type Config = z.output<typeof dpmSolverSinglestepConfig>;

/**
 * diffusers' `DPMSolverSinglestepScheduler` of order 1 to 3 (Lu et al., "DPM-Solver", 2022, algorithms 1 and 2, and
 * "DPM-Solver++", 2022, algorithm 1): each group of as many calls as the order goes once more from where it began, with all that
 * was predicted since. Steps are spaced evenly whatever the config says, as in diffusers.
 * @throws PipelineError UNSUPPORTED_OPTION when the config requests a variant that is not here
 */
export class DpmSolverSinglestepScheduler implements Scheduler {
  readonly className = "DPMSolverSinglestepScheduler";
  readonly #config: Config;
  readonly #table: SigmaTable;

  constructor(config: Config) {
    const { algorithm_type: algorithm, variance_type: variance } = config;
    refuseUnsupported(this.className, {
      ...contradictions(config),
      use_flow_sigmas: config.use_flow_sigmas === true || config.prediction_type === "flow_prediction",
      [`variance_type ${variance}`]: variance === "learned" || variance === "learned_range",
      "algorithm_type sde-dpmsolver": algorithm === "sde-dpmsolver",
      "final_sigmas_type zero with algorithm_type dpmsolver":
        algorithm === "dpmsolver" && config.final_sigmas_type === "zero",
    });
    this.#config = config;
    this.#table = new SigmaTable(config);
  }

  schedule(numInferenceSteps: number): Schedule {
    const config = this.#config;
    checkSteps(numInferenceSteps, config.num_train_timesteps);
    const spacing = { ...config, timestep_spacing: "linspace" as const };
    const levels = solverLevels(spacing, this.#table, numInferenceSteps, {
      endTimestep: endTimestepOf(config, this.#table),
      roundsKarras: true,
      endsAtOwnSmallest: false,
    });
    return new SinglestepSchedule(numInferenceSteps, levels, {
      scale: diffusionScale,
      predictionType: config.prediction_type,
      clipping: config.thresholding ? config : undefined,
      predictsImage: config.algorithm_type.endsWith("++"),
      solverOrder: config.solver_order,
      algorithm: config.algorithm_type,
      isHeun: config.solver_type === "heun",
      orders: ordersOf(config, numInferenceSteps),
    });
  }
}

/** The order of each step (`get_order_list`, with what `set_timesteps` changes before). */
function ordersOf(config: Config, steps: number): number[] {
  const { solver_order: order, final_sigmas_type: end } = config;
  const group = Array.from({ length: order }, (_, index) => index + 1);
  const rest = steps % order;
  const groups = (count: number) => Array.from({ length: count }, () => group).flat();
  // A run that does not divide into groups, or ends at σ = 0, ends with lower orders in any case.
  const isLow = config.lower_order_final || rest !== 0 || end === "zero";
  const whole = Math.floor(steps / order);
  if (!isLow || order === 1) return groups(whole);
  const orders =
    rest === 0 ? [...groups(whole - 1), ...group.slice(0, -1), 1] : [...groups(whole), ...group.slice(0, rest)];
  return end === "zero" ? orders.with(-1, 1) : orders;
}

interface SinglestepOptions extends SolverOptions {
  readonly algorithm: DpmAlgorithm;
  readonly isHeun: boolean;
  readonly orders: readonly number[];
}

class SinglestepSchedule extends MultistepSchedule {
  readonly #options: SinglestepOptions;
  readonly #isStochastic: boolean;
  /** What the group of steps began with. */
  #start: Float32Array = new Float32Array(0);

  constructor(steps: number, levels: Levels, options: SinglestepOptions) {
    super(steps, levels, options);
    this.#options = options;
    this.#isStochastic = options.algorithm.startsWith("sde-");
  }

  override noiseFor(_stepIndex: number): StepNoise | undefined {
    return this.#isStochastic ? { kind: "normal" } : undefined;
  }

  step(
    modelOutput: Float32Array,
    stepIndex: number,
    sample: Float32Array,
    out: Float32Array,
    noise?: Float32Array,
  ): void {
    this.take(stepIndex);
    const drawn = this.#isStochastic ? required(noise, sample) : undefined;
    const newest = this.predict(modelOutput, stepIndex, sample);
    this.remember(newest);
    // A run that begins within a group has fewer predictions.
    const order = Math.min(this.#options.orders[stepIndex] ?? 1, this.predictions.length);
    if (order === 1) this.#start = sample.slice();
    const first = stepIndex - order + 1;
    const { algorithm, isHeun } = this.#options;
    const factors = dpmFactors(algorithm, this.level(first), this.level(stepIndex + 1), order, isHeun);
    const oldest = this.predictions[order - 1] ?? newest;
    const differences = this.#differences(order, stepIndex, factors);
    combine(out, factors.sample, this.#start, factors.newest, oldest, differences);
    if (drawn !== undefined) addScaled(out, drawn, factors.noise);
  }

  /** The difference quotients of the predictions, as weights of their differences to the oldest of the group. */
  #differences(
    order: number,
    stepIndex: number,
    { first, second }: { readonly first: number; readonly second: number },
  ): Difference[] {
    const [m0, m1] = this.predictions;
    if (order === 1 || m0 === undefined || m1 === undefined) return [];
    const start = this.level(stepIndex - order + 1).lambda;
    const h = Math.fround(this.level(stepIndex + 1).lambda - start);
    const ratio = (index: number) => Math.fround(this.level(index).lambda - start) / h;
    const r0 = ratio(stepIndex);
    // D₁ = (m₀ − m)/r₀, also of order 3 by the midpoint.
    if (order === 2 || !this.#options.isHeun) return [{ prediction: m0, weight: first / r0 }];
    const r1 = ratio(stepIndex - 1);
    // D₁ = (r₀·b − r₁·a)/(r₀ − r₁) and D₂ = 2(a − b)/(r₀ − r₁), where a = (m₀ − m)/r₀, b = (m₁ − m)/r₁.
    return [
      { prediction: m0, weight: (2 * second - r1 * first) / (r0 - r1) / r0 },
      { prediction: m1, weight: (r0 * first - 2 * second) / (r0 - r1) / r1 },
    ];
  }
}
