import { z } from "zod";
import type { Levels } from "./base-schedule.ts";
import { contradictions, refuseUnsupported, schedulerConfig } from "./config.ts";
import { type DpmAlgorithm, type DpmFactors, dpmFactors } from "./dpm-solver-coefficients.ts";
import { checkFlowConfig, type FlowConfig } from "./flow-config.ts";
import { dpmSolverLevels } from "./flow-sigmas.ts";
import {
  combine,
  type Difference,
  diffusionScale,
  flowScale,
  MultistepSchedule,
  type SolverOptions,
} from "./multistep-schedule.ts";
import type { Schedule, Scheduler, StepNoise } from "./scheduler.ts";
import { SigmaTable } from "./sigma-levels.ts";
import { addScaled, required } from "./sigma-schedule.ts";
import { dpmFields, endTimestepOf, solverFields, solverLevels } from "./solver-config.ts";
import { checkSteps } from "./spacing.ts";

/** Below this number of steps `lower_order_final` ends with lower orders. */
const fewSteps = 15;

export const dpmSolverMultistepConfig = schedulerConfig({
  ...solverFields,
  ...dpmFields,
  euler_at_final: z.boolean().default(false),
  use_lu_lambdas: z.boolean().nullish(),
});

type Config = z.output<typeof dpmSolverMultistepConfig>;

/**
 * diffusers' `DPMSolverMultistepScheduler` of order 1 to 3 (Lu et al., "DPM-Solver++: Fast Solver for Guided Sampling of
 * Diffusion Probabilistic Models", 2022, algorithm 2 and appendix B), deterministic or stochastic.
 * @throws PipelineError UNSUPPORTED_OPTION when the config requests a variant that is not here
 */
export class DpmSolverMultistepScheduler implements Scheduler {
  readonly className = "DPMSolverMultistepScheduler";
  readonly #config: Config;
  readonly #table: SigmaTable;

  constructor(config: Config) {
    const { algorithm_type: algorithm, variance_type: variance } = config;
    const isImage = algorithm.endsWith("++");
    refuseUnsupported(this.className, {
      ...contradictions(config),
      use_flow_sigmas: config.use_flow_sigmas === true || config.prediction_type === "flow_prediction",
      [`variance_type ${variance}`]: variance === "learned" || variance === "learned_range",
      [`final_sigmas_type zero with algorithm_type ${algorithm}`]: !isImage && config.final_sigmas_type === "zero",
      "solver_order 3 with algorithm_type sde-dpmsolver": algorithm === "sde-dpmsolver" && config.solver_order === 3,
    });
    this.#config = config;
    this.#table = new SigmaTable(config);
  }

  schedule(numInferenceSteps: number): Schedule {
    const config = this.#config;
    checkSteps(numInferenceSteps, config.num_train_timesteps);
    const levels = solverLevels(config, this.#table, numInferenceSteps, {
      endTimestep: endTimestepOf(config, this.#table),
      useLuLambdas: config.use_lu_lambdas === true && !config.use_karras_sigmas,
      roundsKarras: config.beta_schedule !== "squaredcos_cap_v2",
      endsAtOwnSmallest: false,
    });
    return new DpmSolverSchedule(numInferenceSteps, levels, {
      scale: diffusionScale,
      predictionType: config.prediction_type,
      clipping: config.thresholding ? config : undefined,
      predictsImage: config.algorithm_type.endsWith("++"),
      solverOrder: config.solver_order,
      algorithm: config.algorithm_type,
      isHeun: config.solver_type === "heun",
      lowerOrderFinal: config.lower_order_final,
      eulerAtFinal: config.euler_at_final || config.final_sigmas_type === "zero",
    });
  }
}

/** The same with flow sigmas: DPM-Solver++ only. */
export class FlowDpmSolverScheduler implements Scheduler {
  readonly className = "DPMSolverMultistepScheduler";
  readonly #config: FlowConfig;

  constructor(config: FlowConfig) {
    checkFlowConfig(this.className, config);
    this.#config = config;
  }

  schedule(numInferenceSteps: number): Schedule {
    return new DpmSolverSchedule(numInferenceSteps, dpmSolverLevels(this.#config, numInferenceSteps), {
      scale: flowScale,
      predictionType: "flow_prediction",
      clipping: undefined,
      predictsImage: true,
      solverOrder: this.#config.solver_order,
      algorithm: "dpmsolver++",
      isHeun: this.#config.solver_type === "heun",
      lowerOrderFinal: this.#config.lower_order_final,
      eulerAtFinal: true,
    });
  }
}

interface DpmOptions extends SolverOptions {
  readonly algorithm: DpmAlgorithm;
  readonly isHeun: boolean;
  readonly lowerOrderFinal: boolean;
  /** A step to σ = 0 is of order 1: h is infinite there. */
  readonly eulerAtFinal: boolean;
}

class DpmSolverSchedule extends MultistepSchedule {
  readonly #options: DpmOptions;
  readonly #isStochastic: boolean;

  constructor(steps: number, levels: Levels, options: DpmOptions) {
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
    const order = this.#order(stepIndex);
    const { algorithm, isHeun } = this.#options;
    const factors = dpmFactors(algorithm, this.level(stepIndex), this.level(stepIndex + 1), order, isHeun);
    const differences = this.#differences(order, stepIndex, factors);
    combine(out, factors.sample, sample, factors.newest, newest, differences);
    if (drawn !== undefined) addScaled(out, drawn, factors.noise);
  }

  #order(stepIndex: number): number {
    const { solverOrder, lowerOrderFinal, eulerAtFinal } = this.#options;
    const left = this.timesteps.length - stepIndex;
    const isShort = lowerOrderFinal && this.timesteps.length < fewSteps;
    const limit = left === 1 && eulerAtFinal ? 1 : isShort ? left : solverOrder;
    return Math.min(solverOrder, this.predictions.length, limit);
  }

  /** The difference quotients D₁ and D₂ of the predictions, as weights of their differences to the newest. */
  #differences(order: number, stepIndex: number, { first, second }: DpmFactors): Difference[] {
    const [, m1, m2] = this.predictions;
    if (order === 1 || m1 === undefined) return [];
    const lambda = (back: number) => this.level(stepIndex - back).lambda;
    const h = Math.fround(lambda(-1) - lambda(0));
    const r0 = Math.fround(lambda(0) - lambda(1)) / h;
    // Order 2: D₁ = (m₀ − m₁)/r₀.
    if (order === 2 || m2 === undefined) return [{ prediction: m1, weight: -first / r0 }];
    const r1 = Math.fround(lambda(1) - lambda(2)) / h;
    // D₁ = (1 + g)·a − g·b and D₂ = (a − b)/(r₀ + r₁), where a = (m₀ − m₁)/r₀, b = (m₁ − m₂)/r₁, g = r₀/(r₀ + r₁).
    const g = r0 / (r0 + r1);
    const factorA = first * (1 + g) + second / (r0 + r1);
    const factorB = -first * g - second / (r0 + r1);
    return [
      { prediction: m1, weight: -factorA / r0 + factorB / r1 },
      { prediction: m2, weight: -factorB / r1 },
    ];
  }
}
