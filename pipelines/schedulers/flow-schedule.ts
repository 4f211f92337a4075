import { BaseSchedule, type NoiseScale } from "./base-schedule.ts";
import { flowScale } from "./multistep-schedule.ts";
import { originalOfFlow } from "./prediction.ts";

/** What flow-matching runs without a memory share: a sample is (1 − σ)·image + σ·noise, and x₀ = x − σ·v. */
export abstract class FlowSchedule extends BaseSchedule {
  readonly initNoiseSigma = 1;

  predictOriginalSample(modelOutput: Float32Array, stepIndex: number, sample: Float32Array, out: Float32Array): void {
    originalOfFlow(this.sigma(stepIndex), modelOutput, sample, out);
  }

  protected scale(stepIndex: number): NoiseScale {
    return flowScale(this.sigma(stepIndex));
  }
}
