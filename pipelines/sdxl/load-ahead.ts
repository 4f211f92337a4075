import { existsSync } from "node:fs";
import { join } from "node:path";
import type { ComponentSet } from "#pipelines/core/component-set.ts";
import { freeMachineBytes, roomForWeights } from "#pipelines/core/device-memory.ts";
import { cpuBytesOf, weightBytesOf } from "#pipelines/core/weight-bytes.ts";
import type { Placed } from "#pipelines/diffusion/report-load.ts";
import { ClipTokenizer } from "#pipelines/text/clip-tokenizer.ts";
import { controlNetFile, depthEstimatorFile, imageEncoderFile } from "./condition-parts.ts";
import type { SdxlModelFolder } from "./model-folder.ts";
import { TextEncoder } from "./text-encoder.ts";

/** Loaded when the first reference comes: most jobs have none. */
export const vaeEncoderFile = "vae_encoder/model.onnx";

export const vaeDecoderFile = "vae_decoder/model.onnx";

/** A part's weights, by its folder. */
export const fileOf = (folder: string) => `${folder}/model.onnx`;

/** What the weights of a model may take. */
export interface RoomSettings {
  /**
   * How many bytes of weights may be in memory together; when absent, as the device has room. On a CPU as they are there, in
   * float32; on a GPU as their files have them.
   */
  readonly maxWeightBytes?: number | undefined;
  /** Bytes that the machine can still give; replaced in tests. */
  freeBytes?(): Promise<number>;
}

/** Of what is free on a machine: the rest is for what a run needs beside the weights. */
const shareOfMachine = 0.8;

/** Every file that each run uses, in the order of their use. */
function filesInOrder({ base, refiner }: SdxlModelFolder): string[] {
  const experts = [base, ...(refiner === undefined ? [] : [refiner])];
  const encoders = experts.flatMap(({ textEncoders }) => textEncoders.map(({ encoder }) => fileOf(encoder)));
  return [...new Set(encoders), ...experts.map(({ unet }) => fileOf(unet)), vaeDecoderFile];
}

/** Files that a folder may have, and that jobs without pictures do not need, as a run uses them. */
function rarelyUsedFiles({ path, controlNets, imageProcessor, depthProcessor }: SdxlModelFolder): string[] {
  const hasVaeEncoder = existsSync(join(path, vaeEncoderFile));
  return [
    ...(depthProcessor === undefined ? [] : [depthEstimatorFile]),
    ...(imageProcessor === undefined ? [] : [imageEncoderFile]),
    ...(hasVaeEncoder ? [vaeEncoderFile] : []),
    ...controlNets.map(controlNetFile),
  ];
}

/** Loads what has room, and finds where the model runs. @throws PipelineError MODEL_TOO_LARGE before the first large part */
export async function loadAhead(
  model: SdxlModelFolder,
  components: ComponentSet,
  settings: RoomSettings,
): Promise<Placed> {
  const { path: folder } = model;
  const always = filesInOrder(model);
  const rarelyUsed = rarelyUsedFiles(model);
  const unet = always.indexOf(fileOf(model.base.unet));
  const fileBytes = await weightBytesOf(folder, always.toSpliced(unet, 0, ...rarelyUsed));
  // The smallest part shows where parts of this model run.
  const { executionProvider, cudaProblem } = await components.get(vaeDecoderFile);
  const { freeBytes = freeMachineBytes, maxWeightBytes } = settings;
  if (executionProvider === "cpu") {
    const weightBytes = await cpuBytesOf(folder, fileBytes);
    const maxBytes = maxWeightBytes ?? Math.floor((await freeBytes()) * shareOfMachine);
    components.limitMemory({ maxBytes, weightBytes, rarelyUsed, freeBytes });
  } else {
    const maxBytes = maxWeightBytes ?? (await roomForWeights(executionProvider));
    components.limitMemory({ maxBytes, weightBytes: fileBytes, rarelyUsed });
  }
  await components.checkRoom();
  // The largest first: loading takes more memory than what is loaded, and the others are not there yet.
  const largestFirst = always.toSorted((one, other) => (fileBytes.get(other) ?? 0) - (fileBytes.get(one) ?? 0));
  if (components.fits(always)) for (const file of largestFirst) await components.get(file);
  return { executionProvider, cudaProblem };
}

/** The text encoders of all experts, by their folder; loaded when a prompt comes. */
export async function openTextEncoders(
  { path, base, refiner }: SdxlModelFolder,
  components: ComponentSet,
): Promise<Map<string, TextEncoder>> {
  const opened = new Map<string, TextEncoder>();
  for (const { encoder, tokenizer } of [...base.textEncoders, ...(refiner?.textEncoders ?? [])]) {
    if (opened.has(encoder)) continue;
    opened.set(encoder, new TextEncoder(await ClipTokenizer.load(join(path, tokenizer)), components, fileOf(encoder)));
  }
  return opened;
}
