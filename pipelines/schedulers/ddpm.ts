import { z } from "zod";
import { AlphaSchedule, AlphaTable, root, weightedSum } from "./alpha-schedule.ts";
import {
  clippingFields,
  clipSampleFields,
  predictionField,
  refuseUnsupported,
  schedulerConfig,
  spacingFields,
  trainingFields,
  zeroSnrField,
} from "./config.ts";
import type { Schedule, Scheduler, StepNoise } from "./scheduler.ts";
import { addScaled, required } from "./sigma-schedule.ts";
import { checkSteps, wholeTimesteps } from "./spacing.ts";

export const ddpmConfig = schedulerConfig({
  ...trainingFields(),
  ...spacingFields("leading"),
  ...clippingFields,
  ...clipSampleFields(true),
  prediction_type: predictionField,
  variance_type: z.string().default("fixed_small"),
  rescale_betas_zero_snr: zeroSnrField,
});

type Config = z.output<typeof ddpmConfig>;

const variances: readonly string[] = ["fixed_small", "fixed_small_log", "fixed_large"];

/**
 * diffusers' `DDPMScheduler` (Ho et al., "Denoising Diffusion Probabilistic Models", 2020, equations 6 and 7).
 * @throws PipelineError UNSUPPORTED_OPTION when the config requests a variant that is not here
 */
export class DdpmScheduler implements Scheduler {
  readonly className = "DDPMScheduler";
  readonly #config: Config;
  readonly #table: AlphaTable;

  constructor(config: Config) {
    const { variance_type: variance } = config;
    refuseUnsupported(this.className, { [`variance_type ${variance}`]: !variances.includes(variance) });
    this.#config = config;
    this.#table = new AlphaTable(config);
  }

  schedule(numInferenceSteps: number): Schedule {
    checkSteps(numInferenceSteps, this.#config.num_train_timesteps);
    return new DdpmSchedule(this.#config, this.#table, numInferenceSteps);
  }
}

class DdpmSchedule extends AlphaSchedule {
  readonly #isLarge: boolean;

  constructor(config: Config, table: AlphaTable, steps: number) {
    super(steps, wholeTimesteps(config, steps), table, config.prediction_type, config);
    this.#isLarge = config.variance_type === "fixed_large";
  }

  override noiseFor(stepIndex: number): StepNoise | undefined {
    return this.timestep(stepIndex) > 0 ? { kind: "normal" } : undefined;
  }

  step(
    modelOutput: Float32Array,
    stepIndex: number,
    sample: Float32Array,
    out: Float32Array,
    noise?: Float32Array,
  ): void {
    const timestep = this.timestep(stepIndex);
    const drawn = timestep > 0 ? required(noise, sample) : undefined;
    const alpha = this.table.at(timestep);
    const alphaBefore = this.table.at(this.timesteps[stepIndex + 1] ?? -1);
    const beta = Math.fround(1 - alpha);
    const betaBefore = Math.fround(1 - alphaBefore);
    const stepAlpha = Math.fround(alpha / alphaBefore);
    const stepBeta = Math.fround(1 - stepAlpha);
    const originalFactor = Math.fround(Math.fround(root(alphaBefore) * stepBeta) / beta);
    const sampleFactor = Math.fround(Math.fround(root(stepAlpha) * betaBefore) / beta);
    const original = this.original(modelOutput, stepIndex, sample);
    weightedSum(originalFactor, original, sampleFactor, sample, out);
    const small = Math.max(Math.fround(Math.fround(betaBefore / beta) * stepBeta), 1e-20);
    if (drawn !== undefined) addScaled(out, drawn, root(this.#isLarge ? stepBeta : small));
  }
}
