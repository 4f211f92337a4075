import { invalidJob, unsupportedOption } from "#pipelines/core/errors.ts";

/** Tasks of the original command line, and what each needs that a model which makes clips from text has not. */
const tasks = {
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

/**
 * Whether a model that makes clips from text can do what the job's `task` names.
 * @throws PipelineError UNSUPPORTED_OPTION for a task of another kind of model, INVALID_JOB for an unknown one or for a
 *   picture's task with several frames
 */
export function checkTask(task: string | undefined, model: string, frames: number): void {
  if (task === undefined) return;
  const found = Object.entries(tasks).find(([name]) => name.toLowerCase() === task.toLowerCase());
  if (found === undefined) {
    throw invalidJob(`task "${task}" is none that is known; there are: ${Object.keys(tasks).join(", ")}`);
  }
  const [name, need] = found;
  if (need !== null) {
    throw unsupportedOption(
      `task "${name}" ${need}, and the model ${model} makes clips from text alone: leave the task out, or send "t2v-14B"`,
    );
  }
  if (name.startsWith("t2i") && frames > 1) {
    throw invalidJob(
      `task "${name}" makes one picture, and the job requests ${frames} frames: send "t2v-14B", or frame_num 1`,
    );
  }
}
