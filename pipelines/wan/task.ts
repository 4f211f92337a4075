import { invalidJob, unsupportedOption } from "#pipelines/core/errors.ts";

/** Tasks of the original command line, and what each needs that a model which makes clips from text has not. */
const needs = {
  "t2v-1.3B": null,
  "t2v-14B": null,
  "t2v-A14B": null,
  "t2i-14B": null,
  "i2v-14B": "begins with a picture",
  "i2v-A14B": "begins with a picture",
  "ti2v-5B": "is that of WAN 2.2's 5B model, which has a timestep for every token",
  "flf2v-14B": "begins and ends with a picture",
  "vace-1.3B": "follows a control video or reference pictures",
  "vace-14B": "follows a control video or reference pictures",
} as const satisfies Record<string, string | null>;

export type WanTask = keyof typeof needs;

/**
 * Whether a model that makes clips from text can do what the job's `task` names.
 * @throws PipelineError UNSUPPORTED_OPTION for a task of another kind of model, INVALID_JOB for a picture's
 *   task with several frames
 */
export function checkTask(task: WanTask | undefined, model: string, frames: number): void {
  if (task === undefined) return;
  const need = needs[task];
  if (need !== null) {
    throw unsupportedOption(
      `task "${task}" ${need}, and the model ${model} makes clips from text alone: leave the task out, or send "t2v-14B"`,
    );
  }
  if (task.startsWith("t2i") && frames > 1) {
    throw invalidJob(
      `task "${task}" makes one picture, and the job requests ${frames} frames: send "t2v-14B", or frame_num 1`,
    );
  }
}
