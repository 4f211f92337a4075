import { z } from "zod";
import type { Levels } from "./base-schedule.ts";
import {
  contradictions,
  predictionField,
  refuseUnsupported,
  respacingFields,
  schedulerConfig,
  spacingFields,
  stableDiffusionBetas,
  trainingFields,
} from "./config.ts";
import type { Schedule, Scheduler, StepNoise } from "./scheduler.ts";
import { SigmaTable, spacedLevels, withLast } from "./sigma-levels.ts";
import { addScaled, ancestralSplit, eulerStep, required, SigmaSchedule } from "./sigma-schedule.ts";
import { checkSteps } from "./spacing.ts";

export const dpmSolverSdeConfig = schedulerConfig({
  ...trainingFields(stableDiffusionBetas),
  ...spacingFields("linspace"),
  ...respacingFields,
  prediction_type: predictionField,
  noise_sampler_seed: z.int().min(0).nullish(),
});

type Config = z.output<typeof dpmSolverSdeConfig>;

/**
 * diffusers' `DPMSolverSDEScheduler`: DPM-Solver++ of order 2 for the stochastic equation, whose noise is a Brownian path over
 * the sigmas (k-diffusion's `sample_dpmpp_sde`). Two calls a step, one for the last.
 * @throws PipelineError UNSUPPORTED_OPTION when the config requests a variant that is not here
 */
export class DpmSolverSdeScheduler implements Scheduler {
  readonly className = "DPMSolverSDEScheduler";
  readonly #config: Config;
  readonly #table: SigmaTable;

  constructor(config: Config) {
    const unsupported = { "prediction_type sample": config.prediction_type === "sample" };
    refuseUnsupported(this.className, { ...contradictions(config), ...unsupported });
    this.#config = config;
    this.#table = new SigmaTable(config);
  }

  schedule(numInferenceSteps: number): Schedule {
    checkSteps(numInferenceSteps, this.#config.num_train_timesteps);
    const spaced = spacedLevels(this.#config, this.#table, numInferenceSteps);
    const { timesteps, sigmas } = withLast(spaced, 0);
    const calls = 2 * timesteps.length - 1;
    const all = { timesteps: new Float32Array(calls), sigmas: new Float32Array(calls + 1) };
    for (let index = 0; index < calls; index++) {
      const [from = 0, to = 0] = spaced.sigmas.subarray(Math.floor(index / 2), Math.floor(index / 2) + 2);
      const isMiddle = index % 2 === 1;
      all.timesteps[index] = isMiddle ? this.#table.timestepOf(Math.sqrt(from * to)) : (timesteps[index / 2] ?? 0);
      all.sigmas[index] = isMiddle ? middleOf(Math.fround(from), Math.fround(to)) : (sigmas[index / 2] ?? 0);
    }
    const smallest = sigmas.subarray(0, -1).reduce((a, b) => Math.min(a, b), Infinity);
    return new DpmSolverSdeSchedule(this.#config, numInferenceSteps, all, smallest);
  }
}

class DpmSolverSdeSchedule extends SigmaSchedule {
  override readonly order = 2;
  readonly #path: { readonly smallest: number; readonly largest: number; readonly seed: number | undefined };
  #sample: Float32Array = new Float32Array(0);

  constructor(config: Config, steps: number, levels: Levels, smallest: number) {
    super(config, steps, levels);
    const largest = levels.sigmas.reduce((a, b) => Math.max(a, b), 0);
    this.#path = { smallest, largest, seed: config.noise_sampler_seed ?? undefined };
  }

  /** Over the first half of the step, then over the whole of it. The last one, to 0, has none. */
  override noiseFor(stepIndex: number): StepNoise | undefined {
    const { from, to } = this.#ends(stepIndex);
    return to === 0 ? undefined : { kind: "brownian", ...this.#path, from, to };
  }

  step(
    modelOutput: Float32Array,
    stepIndex: number,
    sample: Float32Array,
    out: Float32Array,
    noise?: Float32Array,
  ): void {
    this.take(stepIndex);
    const { from, to } = this.#ends(stepIndex);
    const original = this.original(modelOutput, stepIndex, sample);
    if (to === 0) {
      const sigma = this.sigma(stepIndex);
      eulerStep(sample, sample, original, sigma, -sigma, out);
      return;
    }
    const drawn = required(noise, sample);
    if (stepIndex % 2 === 0) this.#sample = sample.slice();
    const start = this.#sample;
    const split = ancestralSplit(from, to);
    // Where all that is left is noise, the square root of a difference may be above the whole.
    const up = Math.min(to, split.up);
    const down = up === split.up ? split.down : 0;
    const [time, target] = [timeOf(this.#startOf(stepIndex)), timeOf(down)];
    const ratio = Math.fround(sigmaOf(target) / from);
    const growth = Math.fround(Math.expm1(Math.fround(time - target)));
    for (let index = 0; index < out.length; index++) {
      const kept = Math.fround(ratio * (start[index] ?? 0));
      out[index] = kept - Math.fround(growth * (original[index] ?? 0));
    }
    addScaled(out, drawn, up);
  }

  /**
   * Sigmas that a call goes from and to: the step's own start, and its middle or its end. diffusers takes both of a
   * logarithm, and a path is another one from the next sigma on.
   */
  #ends(stepIndex: number): { readonly from: number; readonly to: number } {
    const next = this.sigma(stepIndex + 1);
    const to = stepIndex % 2 === 0 ? next : sigmaOf(timeOf(next));
    return { from: sigmaOf(timeOf(this.#startOf(stepIndex))), to };
  }

  /** The sigma at which the call's step begins. */
  #startOf(stepIndex: number): number {
    return this.sigma(stepIndex - (stepIndex % 2));
  }
}

/** −log σ, and back, in float32. */
const timeOf = (sigma: number) => Math.fround(-Math.fround(Math.log(sigma)));
const sigmaOf = (time: number) => Math.fround(Math.exp(-time));

function middleOf(from: number, to: number): number {
  const [start, end] = [timeOf(from), timeOf(to)];
  return sigmaOf(Math.fround(start + Math.fround(Math.fround(end - start) * 0.5)));
}
