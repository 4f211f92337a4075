import { invalidJob, unsupportedOption } from "#pipelines/core/errors.ts";

/** Tasks of the original command line, and what a model needs for them. */
const tasks = {
  "t2v-1.3B": "text",
  "t2v-14B": "text",
  "t2v-A14B": "text",
  "t2i-14B": "text",
  "i2v-14B": "a picture",
  "i2v-A14B": "a picture",
  "ti2v-5B": "a picture",
  "flf2v-14B": "a first and a last picture",
  "vace-1.3B": "a control video",
  "vace-14B": "a control video",
} as const satisfies Record<string, string>;

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
  if (need !== "text") {
    throw unsupportedOption(
      `task "${name}" begins with ${need}, and the model ${model} makes clips from text alone: leave the task out, or send "t2v-14B"`,
    );
  }
  if (name.startsWith("t2i") && frames > 1) {
    throw invalidJob(
      `task "${name}" makes one picture, and the job requests ${frames} frames: send "t2v-14B", or frame_num 1`,
    );
  }
}
