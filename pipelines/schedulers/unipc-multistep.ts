import { checkFlowConfig, type FlowConfig } from "./flow-config.ts";
import { combine, type Difference, halfLogSnr, MultistepSchedule } from "./flow-schedule.ts";
import { unipcLevels } from "./flow-sigmas.ts";
import type { Schedule, Scheduler } from "./scheduler.ts";

/**
 * diffusers' `UniPCMultistepScheduler` with flow sigmas: each step first corrects its sample with the model's output
 * there (UniC), then predicts the next one (UniP), both with the same coefficients (Zhao et al., "UniPC: A Unified
 * Predictor-Corrector Framework for Fast Sampling of Diffusion Models", 2023, algorithms 5 to 8, B₁ and B₂).
 * @throws PipelineError UNSUPPORTED_OPTION when the config requests a variant that is not here
 */
export class UniPcMultistepScheduler implements Scheduler {
  readonly className = "UniPCMultistepScheduler";
  readonly #config: FlowConfig;

  constructor(config: FlowConfig) {
    checkFlowConfig(this.className, config);
    this.#config = config;
  }

  schedule(numInferenceSteps: number): Schedule {
    return new UniPcSchedule(this.#config, numInferenceSteps);
  }
}

class UniPcSchedule extends MultistepSchedule {
  readonly #config: FlowConfig;
  /** The sample from which the last step predicted, and the order with which it did. */
  #lastSample = new Float32Array(0);
  #lastOrder = 1;

  constructor(config: FlowConfig, steps: number) {
    super(steps, unipcLevels(config, steps), config.solver_order);
    this.#config = config;
  }

  step(modelOutput: Float32Array, stepIndex: number, sample: Float32Array, out: Float32Array): void {
    this.take(stepIndex);
    if (this.#lastSample.length !== sample.length) this.#lastSample = new Float32Array(sample.length);
    const newest = this.predict(modelOutput, stepIndex, sample);
    const isCorrected = this.predictions.length > 0 && !this.#config.disable_corrector.includes(stepIndex - 1);
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
      { prediction: newest, weight: -terms.alpha * terms.scale * (weights[order - 1] ?? 0) },
    ];
    const factor = -terms.alpha * terms.phi1;
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
    combine(out, terms.sampleFactor, this.#lastSample, -terms.alpha * terms.phi1, newest, differences);
    this.#lastOrder = order;
  }

  /** The last step, to σ = 0, is of order 1: its terms of higher order are infinite. */
  #order(stepIndex: number): number {
    const left = this.timesteps.length - stepIndex;
    const limit = left === 1 || this.#config.lower_order_final ? left : this.#config.solver_order;
    return Math.min(this.#config.solver_order, limit, this.predictions.length);
  }

  /** Σ weight·(mₖ − m₀)/rₖ over the predictions before the newest that is remembered. */
  #differences(weights: readonly number[], terms: UniPcTerms): Difference[] {
    return terms.ratios.flatMap((ratio, index) => {
      const prediction = this.predictions[index + 1];
      if (prediction === undefined) return [];
      return [{ prediction, weight: (-terms.alpha * terms.scale * (weights[index] ?? 0)) / ratio }];
    });
  }

  /** Terms of the step from σ at `source` to the next, with `order` − 1 levels before it. */
  #terms(source: number, order: number): UniPcTerms {
    const target = this.sigma(source + 1);
    const lambda = halfLogSnr(this.sigma(source));
    const h = Math.fround(halfLogSnr(target) - lambda);
    const ratios = Array.from({ length: order - 1 }, (_, index) =>
      Math.fround(Math.fround(halfLogSnr(this.sigma(source - 1 - index)) - lambda) / h),
    );
    const sampleFactor = Math.fround(target / this.sigma(source));
    return { ...bhTerms(-h, ratios, this.#config.solver_type === "bh1"), sampleFactor, alpha: Math.fround(1 - target) };
  }
}

interface BhTerms {
  /** rₖ: where earlier levels lie, in units of the step. */
  readonly ratios: readonly number[];
  /** h·φ₁(h) = eʰ − 1 */
  readonly phi1: number;
  /** B(h): h, or eʰ − 1 */
  readonly scale: number;
  /** Row i: the i-th powers of the ratios and of 1. */
  readonly matrix: number[][];
  /** i!·h·φᵢ₊₁(h) / B(h) */
  readonly right: number[];
}

interface UniPcTerms extends BhTerms {
  readonly sampleFactor: number;
  /** 1 − σ of the target */
  readonly alpha: number;
}

/** Equation 12 of the paper, rounded to float32 as diffusers does: differences of near numbers decide the last digits. */
function bhTerms(h: number, ratios: readonly number[], isLinear: boolean): BhTerms {
  const phi1 = Math.fround(Math.expm1(h));
  const scale = isLinear ? h : phi1;
  const nodes = [...ratios, 1];
  const matrix: number[][] = [];
  const right: number[] = [];
  let phi = Math.fround(Math.fround(phi1 / h) - 1);
  let factorial = 1;
  for (let power = 0; power < nodes.length; power++) {
    matrix.push(nodes.map((node) => Math.fround(node ** power)));
    right.push(Math.fround(Math.fround(phi * factorial) / scale));
    factorial *= power + 2;
    phi = Math.fround(Math.fround(phi / h) - Math.fround(1 / factorial));
  }
  return { ratios, phi1, scale, matrix, right };
}

/** Solves a small linear system by elimination with pivots. */
function solve(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const rows = matrix.map((row, index) => [...row, right[index] ?? 0]);
  const size = rows.length;
  for (let column = 0; column < size; column++) {
    const rest = rows.slice(column).sort((a, b) => Math.abs(b[column] ?? 0) - Math.abs(a[column] ?? 0));
    rows.splice(column, rest.length, ...rest);
    const pivot = rows[column] ?? [];
    for (const row of rows.slice(column + 1)) {
      const factor = (row[column] ?? 0) / (pivot[column] ?? 1);
      for (let index = column; index <= size; index++) row[index] = (row[index] ?? 0) - factor * (pivot[index] ?? 0);
    }
  }
  const solution = new Array<number>(size).fill(0);
  for (let index = size - 1; index >= 0; index--) {
    const row = rows[index] ?? [];
    const known = solution.reduce((sum, value, column) => sum + (column > index ? value * (row[column] ?? 0) : 0), 0);
    solution[index] = ((row[size] ?? 0) - known) / (row[index] ?? 1);
  }
  return solution;
}
