import { readModelFolder } from "./model-folder.ts";
import { foldersFor, type ModelTask } from "./model-tasks.ts";

export interface FolderHost {
  /** The model folder of this name; the one that the job names, when left out. */
  model(name?: string): Promise<{ readonly name: string; readonly path: string }>;
}

/** What the weights of a job's model are for. @throws PipelineError MODEL_NOT_FOUND, MODEL_INVALID */
export async function modelOfJob(
  host: FolderHost,
): Promise<{ readonly name: string; readonly tasks: readonly ModelTask[] }> {
  const { name, path } = await host.model();
  return { name, tasks: (await readModelFolder(path)).tasks };
}

/** Names under which job types look for their models. */
const names = ["wan", "t2v", "t2v_2_2", "i2v", "i2v_2_2", "flf2v", "vace", "vace_2_1", "vace_2_2"] as const;

/** The name of a model that is here and can do it. */
export async function folderWith(task: ModelTask, host: FolderHost): Promise<string | undefined> {
  for (const name of names) {
    if ((await tasksOf(name, host)).includes(task)) return name;
  }
  return undefined;
}

/** What to do about a task that a model cannot do: the name of one that is here and can, or how to get one. */
export async function folderAdvice(task: ModelTask, host: FolderHost): Promise<string> {
  const name = await folderWith(task, host);
  if (name !== undefined) return `send model_variant "${name}"`;
  return `export ${foldersFor(task)} with tools/export/export_wan.py, and send its folder's name as model_variant`;
}

/** Of one that is not there, or broken: none. */
async function tasksOf(name: string, host: FolderHost): Promise<readonly ModelTask[]> {
  try {
    return (await readModelFolder((await host.model(name)).path)).tasks;
  } catch {
    return [];
  }
}
