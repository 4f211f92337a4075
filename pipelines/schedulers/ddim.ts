import { z } from "zod";
import { AlphaSchedule, AlphaTable, root, weightedSum } from "./alpha-schedule.ts";
import {
  clippingFields,
  clipSampleFields,
  predictionField,
  schedulerConfig,
  spacingFields,
  trainingFields,
  zeroSnrField,
} from "./config.ts";
import type { Schedule, Scheduler, StepNoise } from "./scheduler.ts";
import { addScaled, required } from "./sigma-schedule.ts";
import { checkSteps, wholeTimesteps } from "./spacing.ts";

export const ddimConfig = schedulerConfig({
  ...trainingFields(),
  ...spacingFields("leading"),
  ...clippingFields,
  ...clipSampleFields(true),
  prediction_type: predictionField,
  set_alpha_to_one: z.boolean().default(true),
  rescale_betas_zero_snr: zeroSnrField,
});

type Config = z.output<typeof ddimConfig>;

/**
 * diffusers' `DDIMScheduler` (Song et al., "Denoising Diffusion Implicit Models", 2020, equations 12 and 16).
 */
export class DdimScheduler implements Scheduler {
  readonly className = "DDIMScheduler";
  readonly #config: Config;
  readonly #table: AlphaTable;
  readonly #eta: number;

  /** @param eta 0 for none of the noise of DDPM, 1 for all of it */
  constructor(config: Config, eta: number) {
    this.#config = config;
    this.#eta = eta;
    this.#table = new AlphaTable(config);
  }

  schedule(numInferenceSteps: number): Schedule {
    checkSteps(numInferenceSteps, this.#config.num_train_timesteps);
    return new DdimSchedule(this.#config, this.#table, numInferenceSteps, this.#eta);
  }
}

class DdimSchedule extends AlphaSchedule {
  readonly #eta: number;
  /** Between a step's timestep and the one that it goes to, whatever the spacing. */
  readonly #stride: number;

  constructor(config: Config, table: AlphaTable, steps: number, eta: number) {
    super(steps, wholeTimesteps(config, steps), table, config.prediction_type, config);
    this.#eta = eta;
    this.#stride = Math.floor(config.num_train_timesteps / steps);
  }

  override noiseFor(_stepIndex: number): StepNoise | undefined {
    return this.#eta > 0 ? { kind: "normal" } : undefined;
  }

  step(
    modelOutput: Float32Array,
    stepIndex: number,
    sample: Float32Array,
    out: Float32Array,
    noise?: Float32Array,
  ): void {
    const drawn = this.#eta > 0 ? required(noise, sample) : undefined;
    const timestep = this.timestep(stepIndex);
    const alpha = this.table.at(timestep);
    const alphaBefore = this.table.at(timestep - this.#stride);
    const original = this.original(modelOutput, stepIndex, sample);
    const direction = this.noise(modelOutput, stepIndex, sample, modelOutput);
    const betaRatio = Math.fround(Math.fround(1 - alphaBefore) / Math.fround(1 - alpha));
    const variance = Math.fround(betaRatio * Math.fround(1 - Math.fround(alpha / alphaBefore)));
    const deviation = Math.fround(this.#eta * root(variance));
    const rest = root(Math.fround(Math.fround(1 - alphaBefore) - Math.fround(deviation * deviation)));
    weightedSum(root(alphaBefore), original, rest, direction, out);
    if (drawn !== undefined) addScaled(out, drawn, deviation);
  }
}
