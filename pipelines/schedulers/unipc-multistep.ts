import { z } from "zod";
import type { Levels } from "./base-schedule.ts";
import { contradictions, refuseUnsupported, schedulerConfig } from "./config.ts";
import { checkFlowConfig, type FlowConfig } from "./flow-config.ts";
import { unipcLevels } from "./flow-sigmas.ts";
import {
  combine,
  type Difference,
  diffusionScale,
  flowScale,
  MultistepSchedule,
  type SolverOptions,
} from "./multistep-schedule.ts";
import type { Schedule, Scheduler } from "./scheduler.ts";
import { SigmaTable } from "./sigma-levels.ts";
import { solverFields, solverLevels } from "./solver-config.ts";
import { checkSteps } from "./spacing.ts";
import { bhTerms, solve, type UniPcTerms } from "./unipc-coefficients.ts";

export const uniPcMultistepConfig = schedulerConfig({
  ...solverFields,
  solver_type: z.enum(["bh1", "bh2", "midpoint", "heun", "logrho"]).default("bh2"),
  predict_x0: z.boolean().default(true),
  disable_corrector: z.array(z.int()).default([]),
  solver_p: z.unknown().optional(),
  sigma_min: z.number().nullish(),
  sigma_max: z.number().nullish(),
});

type Config = z.output<typeof uniPcMultistepConfig>;

/**
 * diffusers' `UniPCMultistepScheduler`: each step first corrects its sample with the model's output there (UniC), then
 * predicts the next one (UniP), both with the same coefficients (Zhao et al., "UniPC: A Unified Predictor-Corrector
 * Framework for Fast Sampling of Diffusion Models", 2023, algorithms 5 to 8, B₁ and B₂).
 * @throws PipelineError UNSUPPORTED_OPTION when the config requests a variant that is not here
 */
export class UniPcMultistepScheduler implements Scheduler {
  readonly className = "UniPCMultistepScheduler";
  readonly #config: Config;
  readonly #table: SigmaTable;

  constructor(config: Config) {
    refuseUnsupported(this.className, {
      ...contradictions(config),
      use_flow_sigmas: config.use_flow_sigmas === true || config.prediction_type === "flow_prediction",
      // h is infinite in a step to σ = 0, and what grows with it is no number.
      "final_sigmas_type zero with predict_x0 false": !config.predict_x0 && config.final_sigmas_type === "zero",
      solver_p: config.solver_p !== undefined && config.solver_p !== null,
    });
    this.#config = config;
    this.#table = new SigmaTable(config);
  }

  schedule(numInferenceSteps: number): Schedule {
    const config = this.#config;
    checkSteps(numInferenceSteps, config.num_train_timesteps);
    const options = { roundsKarras: true, endsAtOwnSmallest: true };
    return new UniPcSchedule(numInferenceSteps, solverLevels(config, this.#table, numInferenceSteps, options), {
      scale: diffusionScale,
      predictionType: config.prediction_type,
      // Of what is predicted as noise diffusers clips nothing.
      clipping: config.thresholding && config.predict_x0 ? config : undefined,
      predictsImage: config.predict_x0,
      solverOrder: config.solver_order,
      isLinear: config.solver_type === "bh1",
      lowerOrderFinal: config.lower_order_final,
      uncorrected: config.disable_corrector,
      endsAtZero: config.final_sigmas_type === "zero",
    });
  }
}

/** The same with flow sigmas. */
export class FlowUniPcScheduler implements Scheduler {
  readonly className = "UniPCMultistepScheduler";
  readonly #config: FlowConfig;

  constructor(config: FlowConfig) {
    checkFlowConfig(this.className, config);
    this.#config = config;
  }

  schedule(numInferenceSteps: number): Schedule {
    return new UniPcSchedule(numInferenceSteps, unipcLevels(this.#config, numInferenceSteps), {
      scale: flowScale,
      predictionType: "flow_prediction",
      clipping: undefined,
      predictsImage: true,
      solverOrder: this.#config.solver_order,
      isLinear: this.#config.solver_type === "bh1",
      lowerOrderFinal: this.#config.lower_order_final,
      uncorrected: this.#config.disable_corrector,
      endsAtZero: true,
    });
  }
}

interface UniPcOptions extends SolverOptions {
  /** B₁(h) = h; else B₂(h) = eʰ − 1. */
  readonly isLinear: boolean;
  readonly lowerOrderFinal: boolean;
  /** Steps after which no corrector runs. */
  readonly uncorrected: readonly number[];
  readonly endsAtZero: boolean;
}

class UniPcSchedule extends MultistepSchedule {
  readonly #options: UniPcOptions;
  /** The sample from which the last step predicted, and the order with which it did. */
  #lastSample = new Float32Array(0);
  #lastOrder = 1;

  constructor(steps: number, levels: Levels, options: UniPcOptions) {
    super(steps, levels, options);
    this.#options = options;
  }

  step(modelOutput: Float32Array, stepIndex: number, sample: Float32Array, out: Float32Array): void {
    this.take(stepIndex);
    if (this.#lastSample.length !== sample.length) this.#lastSample = new Float32Array(sample.length);
    const newest = this.predict(modelOutput, stepIndex, sample);
    const isCorrected = this.predictions.length > 0 && !this.#options.uncorrected.includes(stepIndex - 1);
    if (isCorrected) this.#correct(newest, stepIndex);
    else this.#lastSample.set(sample);
    this.remember(newest);
    this.#predict(newest, stepIndex, out);
  }

  /** Turns the last step's sample into this step's, now that the image which this one points at is known. */
  #correct(newest: Float32Array, stepIndex: number): void {
    const order = this.#lastOrder;
    const terms = this.#terms(stepIndex - 1, order);
    const weights = order === 1 ? [0.5] : solve(terms.matrix, terms.right);
    const [previous] = this.predictions;
    if (previous === undefined) throw new RangeError("a corrector needs the step before");
    const differences = [
      ...this.#differences(weights, terms),
      { prediction: newest, weight: -terms.weight * terms.scale * (weights[order - 1] ?? 0) },
    ];
    const factor = -terms.weight * terms.phi1;
    combine(this.#lastSample, terms.sampleFactor, this.#lastSample, factor, previous, differences);
  }

  #predict(newest: Float32Array, stepIndex: number, out: Float32Array): void {
    const order = this.#order(stepIndex);
    const terms = this.#terms(stepIndex, order);
    const inner = order - 1;
    // For order 2 diffusers takes 1/2 for what the equation gives.
    const weights =
      order <= 2
        ? [0.5]
        : solve(
            terms.matrix.slice(0, inner).map((row) => row.slice(0, inner)),
            terms.right.slice(0, inner),
          );
    const differences = this.#differences(weights, terms);
    combine(out, terms.sampleFactor, this.#lastSample, -terms.weight * terms.phi1, newest, differences);
    this.#lastOrder = order;
  }

  /** A last step to σ = 0 is of order 1: its terms of higher order are infinite. */
  #order(stepIndex: number): number {
    const { solverOrder, lowerOrderFinal, endsAtZero } = this.#options;
    const left = this.timesteps.length - stepIndex;
    const limit = lowerOrderFinal || (left === 1 && endsAtZero) ? left : solverOrder;
    return Math.min(solverOrder, limit, this.predictions.length);
  }

  /** Σ weight·(mₖ − m₀)/rₖ over the predictions before the newest that is remembered. */
  #differences(weights: readonly number[], terms: UniPcTerms): Difference[] {
    return terms.ratios.flatMap((ratio, index) => {
      const prediction = this.predictions[index + 1];
      if (prediction === undefined) return [];
      return [{ prediction, weight: (-terms.weight * terms.scale * (weights[index] ?? 0)) / ratio }];
    });
  }

  /** Terms of the step from σ at `source` to the next, with `order` − 1 levels before it. */
  #terms(source: number, order: number): UniPcTerms {
    const { predictsImage, isLinear } = this.#options;
    const from = this.level(source);
    const to = this.level(source + 1);
    const h = Math.fround(to.lambda - from.lambda);
    const ratios = Array.from({ length: order - 1 }, (_, index) =>
      Math.fround(Math.fround(this.level(source - 1 - index).lambda - from.lambda) / h),
    );
    const terms = bhTerms(predictsImage ? -h : h, ratios, isLinear);
    return predictsImage
      ? { ...terms, sampleFactor: Math.fround(to.sigma / from.sigma), weight: to.alpha }
      : { ...terms, sampleFactor: Math.fround(to.alpha / from.alpha), weight: to.sigma };
  }
}
