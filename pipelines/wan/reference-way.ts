import { type PipelineError, unsupportedOption } from "#pipelines/core/errors.ts";
import type { ClipJob } from "./clip-job.ts";
import { type FolderHost, folderAdvice, folderWith } from "./folder-advice.ts";
import { kindsOf, type ModelTask } from "./model-tasks.ts";

/** A picture of what the clip is about; its first frame, its last, or both. */
export type ReferenceMode = "single" | "start" | "end" | "both";

/** How a clip follows its pictures: by weights for it, or by holding the latents of a model that knows only text. */
export type ReferencePath = "vace" | "i2v" | "flf2v" | "anchor";

/** The addresses of the pictures that count. */
export interface ReferencePlan {
  readonly mode: ReferenceMode;
  readonly single?: string | undefined;
  readonly start?: string | undefined;
  readonly end?: string | undefined;
  readonly strength: number;
}

const defaultStrength = 0.85;

/** Undefined for a job that is made from its prompt alone. A picture beside a first or a last frame plays no part. */
export function referencePlanOf({ config = {}, metadata = {} }: ClipJob): ReferencePlan | undefined {
  const single = config.image ?? metadata.reference_image_url;
  const start = config.first_frame ?? metadata.start_reference_url;
  const end = config.last_frame ?? metadata.end_reference_url;
  const strength = metadata.reference_strength ?? defaultStrength;
  if (start !== undefined && end !== undefined) return { mode: "both", start, end, strength };
  if (start !== undefined) return { mode: "start", start, strength };
  if (end !== undefined) return { mode: "end", end, strength };
  return single === undefined ? undefined : { mode: "single", single, strength };
}

/** Weights that are made for it, in the order in which they are taken. */
const ways: Readonly<Record<ReferenceMode, readonly (readonly [ModelTask, ReferencePath])[]>> = {
  single: [
    ["vace", "vace"],
    ["first-frame", "i2v"],
    ["text", "anchor"],
  ],
  start: [
    ["vace", "vace"],
    ["first-frame", "i2v"],
    ["text", "anchor"],
  ],
  end: [
    ["vace", "vace"],
    ["text", "anchor"],
  ],
  both: [
    ["vace", "vace"],
    ["first-last-frame", "flf2v"],
    ["text", "anchor"],
  ],
};

const given: Readonly<Record<ReferenceMode, string>> = {
  single: "one picture",
  start: "a first frame alone",
  end: "a last frame alone",
  both: "a first and a last frame",
};

interface ModelOfJob {
  readonly name: string;
  readonly tasks: readonly ModelTask[];
}

/**
 * Which way the pictures of a job take through its model.
 * @throws PipelineError UNSUPPORTED_OPTION when there is none, with a model that has one
 */
export async function referencePathOf(
  { mode }: Pick<ReferencePlan, "mode">,
  { name, tasks }: ModelOfJob,
  frames: number,
  host: FolderHost,
): Promise<ReferencePath> {
  // A clip of one frame that begins with a picture is that picture.
  const ofFrames = ways[mode].filter(([, path]) => frames > 1 || path !== "i2v");
  const found = ofFrames.find(([task]) => tasks.includes(task))?.[1];
  if (found !== undefined) return found;
  const requested = frames > 1 || !tasks.includes("first-frame") ? `gives ${given[mode]}` : "requests one frame";
  const could = ofFrames.map(([task]) => task);
  throw await noWay(`the model ${name} ${kindsOf(tasks)}, and the job ${requested}`, could, host);
}

/** @param could tasks of models that have a way, in the order in which they are advised */
async function noWay(problem: string, could: readonly ModelTask[], host: FolderHost): Promise<PipelineError> {
  for (const task of could) {
    const name = await folderWith(task, host);
    if (name !== undefined) return unsupportedOption(`${problem}: send model_variant "${name}"`);
  }
  return unsupportedOption(`${problem}: ${await folderAdvice("vace", host)}`);
}
