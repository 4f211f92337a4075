import { invalidJob } from "#pipelines/core/errors.ts";
import { checkSteps } from "./spacing.ts";

interface ConsistencySpacing {
  readonly num_train_timesteps: number;
  readonly original_inference_steps: number;
}

/**
 * Timesteps of a distilled model: every so many of those that it was distilled on.
 * @throws PipelineError INVALID_JOB when the steps are more than those
 */
export function consistencyTimesteps(config: ConsistencySpacing, count: number): Float32Array {
  const { num_train_timesteps: trained, original_inference_steps: original } = config;
  checkSteps(count, trained);
  if (count > original) {
    throw invalidJob(
      `num_inference_steps must be a whole number from 1 to ${original}, not ${count}: the model was distilled on as many (original_inference_steps in scheduler_config.json)`,
    );
  }
  const ratio = Math.floor(trained / original);
  // np.linspace(0, original, count, endpoint=False), floored.
  return Float32Array.from({ length: count }, (_, index) => {
    const position = Math.floor(index * (original / count));
    return (original - position) * ratio - 1;
  });
}
