import { invalidJob, unsupportedOption } from "#pipelines/core/errors.ts";
import { type FolderHost, folderAdvice } from "./folder-advice.ts";
import { kindsOf, type ModelTask } from "./model-tasks.ts";

/** Tasks of the original command line, and what weights each is for. */
const needs = {
  "t2v-1.3B": "text",
  "t2v-14B": "text",
  "t2v-A14B": "text",
  "t2i-14B": "text",
  "i2v-14B": "first-frame",
  "i2v-A14B": "first-frame",
  "ti2v-5B": "text",
  "flf2v-14B": "first-last-frame",
  "vace-1.3B": "vace",
  "vace-14B": "vace",
} as const satisfies Record<string, ModelTask>;

export type WanTask = keyof typeof needs;

/**
 * Whether a model can do what the job's `task` names.
 * @throws PipelineError UNSUPPORTED_OPTION for a task of another kind of model, naming one that is there; INVALID_JOB for a
 *   picture's task with several frames
 */
export async function checkTask(
  task: WanTask | undefined,
  model: { readonly name: string; readonly tasks: readonly ModelTask[] },
  frames: number,
  host: FolderHost,
): Promise<void> {
  if (task === undefined) return;
  const need = needs[task];
  if (!model.tasks.includes(need)) {
    const advice = await folderAdvice(need, host);
    throw unsupportedOption(
      `task "${task}" is none of the model ${model.name}, which ${kindsOf(model.tasks)}: leave the task out, or ${advice}`,
    );
  }
  if (task.startsWith("t2i") && frames > 1) {
    throw invalidJob(
      `task "${task}" makes one picture, and the job requests ${frames} frames: send "t2v-14B", or frame_num 1`,
    );
  }
}
