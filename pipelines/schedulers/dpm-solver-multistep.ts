import { checkFlowConfig, type FlowConfig } from "./flow-config.ts";
import { combine, type Difference, halfLogSnr, MultistepSchedule } from "./flow-schedule.ts";
import { dpmSolverLevels } from "./flow-sigmas.ts";
import type { Schedule, Scheduler } from "./scheduler.ts";

/** Below this number of steps `lower_order_final` ends with lower orders. */
const fewSteps = 15;

/**
 * diffusers' `DPMSolverMultistepScheduler` with flow sigmas: DPM-Solver++ of order 1 to 3 (Lu et al., "DPM-Solver++: Fast
 * Solver for Guided Sampling of Diffusion Probabilistic Models", 2022, algorithm 2 and appendix B).
 * @throws PipelineError UNSUPPORTED_OPTION when the config requests a variant that is not here
 */
export class DpmSolverMultistepScheduler implements Scheduler {
  readonly className = "DPMSolverMultistepScheduler";
  readonly #config: FlowConfig;

  constructor(config: FlowConfig) {
    checkFlowConfig(this.className, config);
    this.#config = config;
  }

  schedule(numInferenceSteps: number): Schedule {
    return new DpmSolverSchedule(this.#config, numInferenceSteps);
  }
}

class DpmSolverSchedule extends MultistepSchedule {
  readonly #config: FlowConfig;

  constructor(config: FlowConfig, steps: number) {
    super(steps, dpmSolverLevels(config, steps), config.solver_order);
    this.#config = config;
  }

  step(modelOutput: Float32Array, stepIndex: number, sample: Float32Array, out: Float32Array): void {
    this.take(stepIndex);
    const newest = this.predict(modelOutput, stepIndex, sample);
    this.remember(newest);
    const source = this.sigma(stepIndex);
    const target = this.sigma(stepIndex + 1);
    const alpha = Math.fround(1 - target);
    const h = Math.fround(halfLogSnr(target) - halfLogSnr(source));
    const decay = Math.fround(Math.fround(Math.exp(-h)) - 1);
    const differences = this.#differences(this.#order(stepIndex), stepIndex, alpha, h, decay);
    combine(out, Math.fround(target / source), sample, -alpha * decay, newest, differences);
  }

  /** The last step, to σ = 0, is of order 1: h is infinite there. */
  #order(stepIndex: number): number {
    const left = this.timesteps.length - stepIndex;
    const isShort = this.#config.lower_order_final && this.timesteps.length < fewSteps;
    const limit = left === 1 ? 1 : isShort ? left : this.#config.solver_order;
    return Math.min(this.#config.solver_order, this.predictions.length, limit);
  }

  #differences(order: number, stepIndex: number, alpha: number, h: number, decay: number): Difference[] {
    const [, second, third] = this.predictions;
    const spacing = (back: number) =>
      Math.fround(halfLogSnr(this.sigma(stepIndex - back + 1)) - halfLogSnr(this.sigma(stepIndex - back))) / h;
    if (order === 1 || second === undefined) return [];
    const r0 = spacing(1);
    const slope = alpha * (decay / h + 1);
    if (order === 2 || third === undefined) {
      // D₁ = (m₀ − m₁)/r₀; heun integrates it exactly, midpoint takes half of m₀'s factor.
      const factor = this.#config.solver_type === "heun" ? slope : -0.5 * alpha * decay;
      return [{ prediction: second, weight: -factor / r0 }];
    }
    const r1 = spacing(2);
    const curvature = alpha * ((decay + h) / h ** 2 - 0.5);
    // D₁ = (1 + g)·a − g·b and D₂ = (a − b)/(r₀ + r₁), where a = (m₀ − m₁)/r₀, b = (m₁ − m₂)/r₁, g = r₀/(r₀ + r₁).
    const g = r0 / (r0 + r1);
    const factorA = slope * (1 + g) - curvature / (r0 + r1);
    const factorB = -slope * g + curvature / (r0 + r1);
    return [
      { prediction: second, weight: -factorA / r0 + factorB / r1 },
      { prediction: third, weight: -factorB / r1 },
    ];
  }
}
