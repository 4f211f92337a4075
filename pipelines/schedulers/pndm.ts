import { z } from "zod";
import { invalidJob } from "#pipelines/core/errors.ts";
import { AlphaSchedule, AlphaTable, root, weightedSum } from "./alpha-schedule.ts";
import { predictionField, refuseUnsupported, schedulerConfig, spacingFields, trainingFields } from "./config.ts";
import { noiseOfScale } from "./prediction.ts";
import type { Schedule, Scheduler } from "./scheduler.ts";
import { checkSteps, wholeTimesteps } from "./spacing.ts";

export const pndmConfig = schedulerConfig({
  ...trainingFields(),
  ...spacingFields("leading"),
  prediction_type: predictionField,
  skip_prk_steps: z.boolean().default(false),
  set_alpha_to_one: z.boolean().default(false),
});

type Config = z.output<typeof pndmConfig>;

/** Steps of the Runge-Kutta kind that a run begins with, four calls each. */
const rungeKuttaSteps = 3;

/**
 * diffusers' `PNDMScheduler` (Liu et al., "Pseudo Numerical Methods for Diffusion Models on Manifolds", 2022, algorithm 2):
 * a linear multistep method of order 4, begun by Runge-Kutta steps or, with `skip_prk_steps`, by lower orders.
 * @throws PipelineError UNSUPPORTED_OPTION when the config requests a variant that is not here
 */
export class PndmScheduler implements Scheduler {
  readonly className = "PNDMScheduler";
  readonly #config: Config;
  readonly #table: AlphaTable;

  constructor(config: Config) {
    refuseUnsupported(this.className, { "prediction_type sample": config.prediction_type === "sample" });
    this.#config = config;
    this.#table = new AlphaTable(config);
  }

  schedule(numInferenceSteps: number): Schedule {
    checkSteps(numInferenceSteps, this.#config.num_train_timesteps);
    if (!this.#config.skip_prk_steps && numInferenceSteps <= rungeKuttaSteps) {
      throw invalidJob(
        `num_inference_steps must be at least ${rungeKuttaSteps + 1} with PNDMScheduler, unless scheduler_config.json has skip_prk_steps`,
      );
    }
    return new PndmSchedule(this.#config, this.#table, numInferenceSteps);
  }
}

/** The second is called twice, unless it is the only one. */
function multistepCalls(spaced: readonly number[]): number[] {
  const [first, ...rest] = spaced;
  return first === undefined ? [] : [first, ...rest.slice(0, 1), ...rest];
}

function rungeKuttaCalls(spaced: readonly number[], half: number): number[] {
  const [first, ...rest] = spaced.slice(0, rungeKuttaSteps + 1);
  const steps = rest.flatMap((next) => [next + half, next + half, next, next]);
  // The last value of a step is the first of the next one.
  return [...(first === undefined ? [] : [first]), ...steps.slice(0, -1), ...spaced.slice(rungeKuttaSteps)];
}

class PndmSchedule extends AlphaSchedule {
  readonly #isVelocity: boolean;
  readonly #skipsRungeKutta: boolean;
  /** Between a step's timestep and the one that it goes to, whatever the spacing. */
  readonly #stride: number;
  /** Outputs of earlier steps, the newest first. */
  readonly #outputs: Float32Array[] = [];
  /** What the step's first call began with. */
  #sample: Float32Array = new Float32Array(0);
  /** Sum of the outputs of a Runge-Kutta step, weighted. */
  #sum: Float32Array = new Float32Array(0);

  constructor(config: Config, table: AlphaTable, steps: number) {
    const stride = Math.floor(config.num_train_timesteps / steps);
    const spaced = [...wholeTimesteps(config, steps)];
    const calls = config.skip_prk_steps ? multistepCalls(spaced) : rungeKuttaCalls(spaced, Math.floor(stride / 2));
    super(steps, Float32Array.from(calls), table, config.prediction_type, undefined);
    this.#isVelocity = config.prediction_type === "v_prediction";
    this.#skipsRungeKutta = config.skip_prk_steps;
    this.#stride = stride;
  }

  protected override reset(): void {
    this.#outputs.length = 0;
  }

  step(modelOutput: Float32Array, stepIndex: number, sample: Float32Array, out: Float32Array): void {
    this.take(stepIndex);
    // diffusers counts from where the run begins.
    const counter = stepIndex - this.firstStep;
    if (!this.#skipsRungeKutta && counter < 4 * rungeKuttaSteps) {
      this.#rungeKuttaStep(modelOutput, counter, stepIndex, sample, out);
    } else this.#multistep(modelOutput, counter, stepIndex, sample, out);
  }

  #rungeKuttaStep(
    modelOutput: Float32Array,
    counter: number,
    stepIndex: number,
    sample: Float32Array,
    out: Float32Array,
  ): void {
    const place = counter % 4;
    if (place === 0) {
      this.#remember(modelOutput.slice());
      this.#sample = sample.slice();
      this.#sum = new Float32Array(sample.length);
    }
    const weight = Math.fround(place === 0 || place === 3 ? 1 / 6 : 1 / 3);
    const sum = this.#sum.map((value, index) => value + Math.fround(weight * (modelOutput[index] ?? 0)));
    this.#sum = sum;
    const from = this.timesteps[4 * Math.floor(counter / 4)] ?? 0;
    const to = this.timestep(stepIndex) - (counter % 2 === 1 ? 0 : Math.floor(this.#stride / 2));
    this.#move(this.#sample, from, to, place === 3 ? sum : modelOutput, out);
  }

  #multistep(
    modelOutput: Float32Array,
    counter: number,
    stepIndex: number,
    sample: Float32Array,
    out: Float32Array,
  ): void {
    const timestep = this.timestep(stepIndex);
    const outputs = this.#outputs;
    // The second call is at the end of the first step, and takes it again with the mean of both outputs.
    const isSecond = counter === 1 && this.#skipsRungeKutta;
    if (!isSecond) this.#remember(modelOutput.slice());
    const [e0 = modelOutput, e1, e2, e3] = outputs;
    if (isSecond) {
      const mean = e0.map((value, index) => Math.fround((modelOutput[index] ?? 0) + value) / 2);
      this.#move(this.#sample, timestep + this.#stride, timestep, mean, out);
      return;
    }
    if (counter === 0) this.#sample = sample.slice();
    const output = adamsBashforth(e0, e1, e2, e3);
    this.#move(sample, timestep, timestep - this.#stride, output, out);
  }

  #remember(output: Float32Array): void {
    this.#outputs.unshift(output);
    this.#outputs.length = Math.min(this.#outputs.length, 4);
  }

  /** Equation 9 of the paper: from one timestep to another along a prediction of noise. */
  #move(sample: Float32Array, from: number, to: number, output: Float32Array, out: Float32Array): void {
    const [alpha, alphaTo] = [this.table.at(from), this.table.at(to)];
    const [beta, betaTo] = [Math.fround(1 - alpha), Math.fround(1 - alphaTo)];
    let noise = output;
    if (this.#isVelocity) {
      noise = new Float32Array(output.length);
      noiseOfScale("v_prediction", { alpha: root(alpha), sigma: root(beta) }, output, sample, noise);
    }
    const product = Math.fround(Math.fround(alpha * beta) * alphaTo);
    const divisor = Math.fround(Math.fround(alpha * root(betaTo)) + root(product));
    const difference = Math.fround(alphaTo - alpha);
    const scaled = noise.map((value) => Math.fround(difference * value) / divisor);
    weightedSum(root(Math.fround(alphaTo / alpha)), sample, -1, scaled, out);
  }
}

/** The output that the step goes along, of the newest outputs: orders 1 to 4. */
function adamsBashforth(
  e0: Float32Array,
  e1: Float32Array | undefined,
  e2: Float32Array | undefined,
  e3: Float32Array | undefined,
): Float32Array {
  const of = (values: Float32Array | undefined, index: number) => values?.[index] ?? 0;
  if (e1 === undefined) return e0;
  if (e2 === undefined) return e0.map((value, index) => (3 * value - of(e1, index)) / 2);
  if (e3 === undefined) return e0.map((value, index) => (23 * value - 16 * of(e1, index) + 5 * of(e2, index)) / 12);
  return e0.map((value, index) => (55 * value - 59 * of(e1, index) + 37 * of(e2, index) - 9 * of(e3, index)) / 24);
}
