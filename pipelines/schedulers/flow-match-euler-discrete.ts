import { checkFlowConfig, type FlowConfig } from "./flow-config.ts";
import { FlowSchedule } from "./flow-schedule.ts";
import { flowMatchLevels } from "./flow-sigmas.ts";
import type { Schedule, Scheduler } from "./scheduler.ts";

/**
 * diffusers' `FlowMatchEulerDiscreteScheduler`: Euler's method on the flow's ordinary differential equation.
 * @throws PipelineError UNSUPPORTED_OPTION when the config requests a variant that is not here
 */
export class FlowMatchEulerDiscreteScheduler implements Scheduler {
  readonly className = "FlowMatchEulerDiscreteScheduler";
  readonly #config: FlowConfig;

  constructor(config: FlowConfig) {
    checkFlowConfig(this.className, config);
    this.#config = config;
  }

  schedule(numInferenceSteps: number): Schedule {
    return new FlowMatchEulerSchedule(numInferenceSteps, flowMatchLevels(this.#config, numInferenceSteps));
  }
}

class FlowMatchEulerSchedule extends FlowSchedule {
  /** x ← x + (σ_next − σ)·v */
  step(modelOutput: Float32Array, stepIndex: number, sample: Float32Array, out: Float32Array): void {
    const dt = Math.fround(this.sigma(stepIndex + 1) - this.sigma(stepIndex));
    for (let index = 0; index < sample.length; index++) {
      out[index] = (sample[index] ?? 0) + Math.fround(dt * (modelOutput[index] ?? 0));
    }
  }
}
