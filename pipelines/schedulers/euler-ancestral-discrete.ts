import type { z } from "zod";
import {
  predictionField,
  refuseUnsupported,
  schedulerConfig,
  spacingFields,
  trainingFields,
  zeroSnrField,
} from "./config.ts";
import type { Schedule, Scheduler, StepNoise } from "./scheduler.ts";
import { SigmaTable, spacedLevels, withLast } from "./sigma-levels.ts";
import { addScaled, ancestralSplit, eulerStep, required, SigmaSchedule } from "./sigma-schedule.ts";
import { checkSteps } from "./spacing.ts";

export const eulerAncestralConfig = schedulerConfig({
  ...trainingFields(),
  ...spacingFields("linspace"),
  prediction_type: predictionField,
  rescale_betas_zero_snr: zeroSnrField,
});

type Config = z.output<typeof eulerAncestralConfig>;

/**
 * diffusers' `EulerAncestralDiscreteScheduler`: each step goes down further than to the next sigma, and adds noise up to it
 * (k-diffusion's `sample_euler_ancestral`).
 * @throws PipelineError UNSUPPORTED_OPTION when the config requests a variant that is not here
 */
export class EulerAncestralDiscreteScheduler implements Scheduler {
  readonly className = "EulerAncestralDiscreteScheduler";
  readonly #config: Config;
  readonly #table: SigmaTable;

  constructor(config: Config) {
    refuseUnsupported(this.className, { "prediction_type sample": config.prediction_type === "sample" });
    this.#config = config;
    this.#table = new SigmaTable(config);
  }

  schedule(numInferenceSteps: number): Schedule {
    checkSteps(numInferenceSteps, this.#config.num_train_timesteps);
    const levels = withLast(spacedLevels(this.#config, this.#table, numInferenceSteps), 0);
    return new EulerAncestralSchedule(this.#config, numInferenceSteps, levels);
  }
}

class EulerAncestralSchedule extends SigmaSchedule {
  override noiseFor(_stepIndex: number): StepNoise {
    return { kind: "normal" };
  }

  step(
    modelOutput: Float32Array,
    stepIndex: number,
    sample: Float32Array,
    out: Float32Array,
    noise?: Float32Array,
  ): void {
    const drawn = required(noise, sample);
    const sigma = this.sigma(stepIndex);
    const { up, down } = ancestralSplit(sigma, this.sigma(stepIndex + 1));
    const original = this.original(modelOutput, stepIndex, sample);
    eulerStep(sample, sample, original, sigma, Math.fround(down - sigma), out);
    addScaled(out, drawn, up);
  }
}
