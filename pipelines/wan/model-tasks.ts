import { basename } from "node:path";
import { invalidJob, modelInvalid, type PipelineError, unsupportedOption } from "#pipelines/core/errors.ts";
import type { WanCondition } from "./condition.ts";

/** What the weights of a folder make a clip from, beside its prompt. */
export type ModelTask = "text" | "first-frame" | "first-last-frame" | "vace";

/** diffusers' pipelines that the folder may have been saved from. */
const classNames = ["WanPipeline", "WanImageToVideoPipeline", "WanVACEPipeline"] as const;

export type WanClassName = (typeof classNames)[number];

/** What decides it, in the configs of the transformer and the VAE. */
export interface TaskFields {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly hasVaceLayers: boolean;
  /** The transformer takes the features of two pictures, and of no other number. */
  readonly takesTwoPictures: boolean;
  /** The transformer takes the features of pictures. */
  readonly takesPictures: boolean;
  /** The transformer takes a timestep for every token: a given frame stands among its latents, at the timestep 0. */
  readonly timestepPerToken: boolean;
  readonly latentChannels: number;
  readonly temporalScale: number;
}

export function isWanClass(className: string): className is WanClassName {
  return classNames.some((known) => known === className);
}

/** Of an image-to-video transformer: a mask for each frame of a latent frame, and the given frames' latents. */
export function frameChannels({ latentChannels, temporalScale }: Pick<TaskFields, "latentChannels" | "temporalScale">) {
  return temporalScale + latentChannels;
}

/**
 * What a folder can do, by its transformer's config: channels beside the latents say that frames are given, the features of
 * two pictures that both ends are. Without features (WAN 2.2) the mask alone says which frames are given, one end or both.
 * @throws PipelineError MODEL_INVALID when no pipeline of that name has such a transformer
 */
export function tasksOf(path: string, className: WanClassName, fields: TaskFields): readonly ModelTask[] {
  const { inChannels, outChannels, latentChannels } = fields;
  if (fields.timestepPerToken && (inChannels !== latentChannels || fields.hasVaceLayers)) {
    throw modelInvalid(
      path,
      "model_index.json says expand_timesteps, and the transformer reads more than its latents: only one of the two gives frames",
    );
  }
  const conditioned = latentChannels + frameChannels(fields);
  if (outChannels !== latentChannels || (inChannels !== latentChannels && inChannels !== conditioned)) {
    throw modelInvalid(
      path,
      `the transformer reads ${inChannels} channels and makes ${outChannels}: with this VAE it makes ${latentChannels}, and reads ${latentChannels} (text to video, VACE) or ${conditioned} (image to video)`,
    );
  }
  const [expected, tasks] = tasksByChannels(fields, inChannels === conditioned);
  if (className !== expected && !(fields.timestepPerToken && className === "WanImageToVideoPipeline")) {
    throw modelInvalid(path, `the transformer is that of a ${expected}, but model_index.json describes a ${className}`);
  }
  return tasks;
}

function tasksByChannels(fields: TaskFields, givesFrames: boolean): readonly [WanClassName, readonly ModelTask[]] {
  if (fields.timestepPerToken) return ["WanPipeline", ["text", "first-frame"]];
  if (fields.hasVaceLayers) return ["WanVACEPipeline", ["text", "vace"]];
  if (!givesFrames) return ["WanPipeline", ["text"]];
  if (fields.takesTwoPictures) return ["WanImageToVideoPipeline", ["first-last-frame"]];
  if (fields.takesPictures) return ["WanImageToVideoPipeline", ["first-frame"]];
  return ["WanImageToVideoPipeline", ["first-frame", "first-last-frame"]];
}

/** What a model is, by its tasks. */
const kinds: Readonly<Record<ModelTask, string>> = {
  text: "makes clips from text",
  "first-frame": "begins its clips with a picture",
  "first-last-frame": "begins and ends its clips with pictures",
  vace: "follows a control video",
};

/** Folders that do it, for messages. */
const folders: Readonly<Record<ModelTask, string>> = {
  text: "a text-to-video model (WanPipeline, as t2v-14B)",
  "first-frame": "an image-to-video model (WanImageToVideoPipeline, as i2v-14B)",
  "first-last-frame": "a first-and-last-frame model (WanImageToVideoPipeline, as flf2v-14B or WAN 2.2's i2v-A14B)",
  vace: "a VACE model (WanVACEPipeline, as vace-14B)",
};

/** What a model of these tasks is, in words that follow its name. */
export function kindsOf(tasks: readonly ModelTask[]): string {
  return tasks.map((task) => kinds[task]).join(" and ");
}

/** A kind of folder that does it, with an article. */
export function foldersFor(task: ModelTask): string {
  return folders[task];
}

/**
 * Whether the folder can do what the condition wants.
 * @throws PipelineError UNSUPPORTED_OPTION for what another folder could do, naming it; INVALID_JOB for what none could
 */
export function checkCondition(
  model: { readonly path: string; readonly tasks: readonly ModelTask[] },
  condition: WanCondition | undefined,
): void {
  const wanted = wantedTask(condition);
  if (!model.tasks.includes(wanted)) throw cannot(model, wanted);
}

function wantedTask(condition: WanCondition | undefined): ModelTask {
  if (condition === undefined || condition.kind === "anchor") return "text";
  if (condition.kind === "vace") return "vace";
  if (condition.first === undefined) {
    throw invalidJob(
      condition.last === undefined
        ? "a condition of frames has a first frame, a first and a last one, or is left out"
        : "the last frame needs a first frame beside it with this model: send both, or use a VACE or text-to-video model",
    );
  }
  return condition.last === undefined ? "first-frame" : "first-last-frame";
}

function cannot({ path, tasks }: { path: string; tasks: readonly ModelTask[] }, wanted: ModelTask): PipelineError {
  const does = kindsOf(tasks);
  const name = basename(path);
  if (wanted === "text") {
    return invalidJob(`the model ${name} ${does}, and the job has no such picture: send one, or use ${folders.text}`);
  }
  return unsupportedOption(
    `the model ${name} ${does}, and the job wants one that ${kinds[wanted]}: use ${folders[wanted]}`,
  );
}
