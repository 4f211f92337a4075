import type { z } from "zod";
import { roundHalfEven } from "#pipelines/core/round-half-even.ts";
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

export const kDpm2Config = schedulerConfig({
  ...trainingFields(stableDiffusionBetas),
  ...spacingFields("linspace"),
  ...respacingFields,
  prediction_type: predictionField,
});

type Config = z.output<typeof kDpm2Config>;

/**
 * diffusers' `KDPM2DiscreteScheduler` and `KDPM2AncestralDiscreteScheduler`: a call at the geometric mean of a step's sigmas
 * gives the derivative along which the whole step goes (algorithm 2 of Karras et al., 2022, after DPM-Solver-2). Two calls
 * a step, one for the last. The ancestral one goes down further, and adds noise.
 * @throws PipelineError UNSUPPORTED_OPTION when the config requests a variant that is not here
 */
export class KDpm2Scheduler implements Scheduler {
  readonly className: "KDPM2DiscreteScheduler" | "KDPM2AncestralDiscreteScheduler";
  readonly #config: Config;
  readonly #table: SigmaTable;
  readonly #isAncestral: boolean;

  constructor(className: KDpm2Scheduler["className"], config: Config) {
    const unsupported = { "prediction_type sample": config.prediction_type === "sample" };
    refuseUnsupported(className, { ...contradictions(config), ...unsupported });
    this.className = className;
    this.#isAncestral = className === "KDPM2AncestralDiscreteScheduler";
    this.#config = config;
    this.#table = new SigmaTable(config);
  }

  schedule(numInferenceSteps: number): Schedule {
    checkSteps(numInferenceSteps, this.#config.num_train_timesteps);
    const spaced = withLast(spacedLevels(this.#config, this.#table, numInferenceSteps), 0);
    const timesteps = this.#config.use_karras_sigmas ? spaced.timesteps.map(roundHalfEven) : spaced.timesteps;
    const steps = timesteps.length;
    const ends = Array.from({ length: steps }, (_, index) => {
      const [from = 0, to = 0] = spaced.sigmas.subarray(index, index + 2);
      return this.#isAncestral ? ancestralSplit(from, to) : { up: 0, down: to };
    });
    // The last step ends at 0, in one call.
    const middles = ends.map(({ down }, index) => geometricMean(spaced.sigmas[index] ?? 0, down));
    const sigmas = new Float32Array(2 * steps);
    const all = new Float32Array(2 * steps - 1);
    for (let index = 0; index < all.length; index++) {
      const middle = middles[(index - 1) / 2];
      sigmas[index] = middle ?? spaced.sigmas[index / 2] ?? 0;
      all[index] = middle === undefined ? (timesteps[index / 2] ?? 0) : this.#table.timestepOf(middle);
    }
    return new KDpm2Schedule(this.#config, numInferenceSteps, { timesteps: all, sigmas }, ends, this.#isAncestral);
  }
}

type StepEnd = ReturnType<typeof ancestralSplit>;

class KDpm2Schedule extends SigmaSchedule {
  override readonly order = 2;
  readonly #ends: readonly StepEnd[];
  readonly #isAncestral: boolean;
  #sample: Float32Array = new Float32Array(0);

  constructor(config: Config, steps: number, levels: Levels, ends: readonly StepEnd[], isAncestral: boolean) {
    super(config, steps, levels);
    this.#ends = ends;
    this.#isAncestral = isAncestral;
  }

  override noiseFor(stepIndex: number): StepNoise | undefined {
    return this.#isAncestral && stepIndex % 2 === 1 ? { kind: "normal" } : undefined;
  }

  step(
    modelOutput: Float32Array,
    stepIndex: number,
    sample: Float32Array,
    out: Float32Array,
    noise?: Float32Array,
  ): void {
    this.take(stepIndex);
    const sigma = this.sigma(stepIndex);
    const original = this.original(modelOutput, stepIndex, sample);
    if (stepIndex % 2 === 0) {
      this.#sample = sample.slice();
      eulerStep(sample, sample, original, sigma, Math.fround(this.sigma(stepIndex + 1) - sigma), out);
      return;
    }
    const { up, down } = this.#ends[(stepIndex - 1) / 2] ?? { up: 0, down: 0 };
    const dt = Math.fround(down - this.sigma(stepIndex - 1));
    const drawn = this.#isAncestral ? required(noise, sample) : undefined;
    eulerStep(this.#sample, sample, original, sigma, dt, out);
    if (drawn !== undefined) addScaled(out, drawn, up);
  }
}

/** exp of the mean of the logarithms, in float32; 0 where either is. */
function geometricMean(from: number, to: number): number {
  const [a, b] = [Math.fround(Math.log(from)), Math.fround(Math.log(to))];
  return Math.fround(Math.exp(b - Math.fround(Math.fround(b - a) * 0.5)));
}
