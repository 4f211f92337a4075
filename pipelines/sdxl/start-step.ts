import { invalidJob } from "#pipelines/core/errors.ts";
import type { SdxlReference } from "./request.ts";

type Strength = Pick<SdxlReference, "strength" | "takesOneStep">;

/**
 * How many steps are left out at the beginning when a run starts from a picture, as in diffusers' `get_timesteps`:
 * steps − ⌊steps · strength⌋.
 * @throws PipelineError INVALID_JOB when no step is left
 */
export function startStepOf(steps: number, { strength, takesOneStep = false }: Strength): number {
  const rounded = Math.min(Math.floor(steps * strength), steps);
  const run = takesOneStep ? Math.max(1, rounded) : rounded;
  if (run >= 1) return steps - run;
  throw invalidJob(
    strength <= 0
      ? "denoise_strength 0 (reference_strength 1) leaves the reference as it is: use more than 0, or exact_copy_mode"
      : `denoise_strength ${strength} of ${steps} steps is less than one step: use at least ${Math.ceil(1 / strength)} steps, a strength of ${Math.ceil(1000 / steps) / 1000}, or exact_copy_mode`,
  );
}
