import { basename } from "node:path";
import { invalidJob } from "#pipelines/core/errors.ts";
import { concat, type Tensor, tensor, zeros } from "#pipelines/core/tensor.ts";
import { type ClipShape, latentGrid, tokenGrid } from "../clip-shape.ts";
import type { VaceCondition } from "../condition.ts";
import type { Conditioning, ConditionParts } from "../conditioning.ts";
import { VideoEncoder } from "../encode-video.ts";
import type { WanModelFolder } from "../model-folder.ts";
import { encodeGuide, encodeNothing } from "./encode-guide.ts";
import { guideOf } from "./guide.ts";
import { referenceCanvas } from "./reference-canvas.ts";

/**
 * The inputs of a VACE transformer, as diffusers' `WanVACEPipeline` makes them. Reference pictures are latent frames before
 * those of the clip, the last picture first.
 * @throws PipelineError INVALID_JOB for what the model cannot take, NUMERICAL_ERROR; what the control video throws; the
 *   signal's reason
 */
export async function prepareVace(
  parts: ConditionParts,
  shape: ClipShape,
  { video, mask, references = [], scale = 1 }: VaceCondition,
): Promise<Conditioning> {
  const { model } = parts;
  const guide = guideOf({ video, mask });
  const scales = controlScales(model, scale);
  checkReferences(model, shape, references.length);
  // Before the long work: pictures that are refused.
  const canvas = { width: shape.width, height: shape.height, multiple: model.spatialScale };
  const canvases = references.map((picture) => referenceCanvas(picture, canvas));
  const pictures: Tensor[] = [];
  for (const pixels of canvases.reverse()) pictures.push(await encodeReference(parts, pixels));
  const control = guide === undefined ? await encodeNothing(parts, shape) : await encodeGuide(parts, shape, guide);
  return {
    inputs: {
      control_hidden_states: pictures.length === 0 ? control : concat([...pictures, control], 2),
      control_hidden_states_scale: scales,
    },
    leadingFrames: references.length,
  };
}

/**
 * How much the control counts at each of the layers that it reaches.
 * @throws PipelineError INVALID_JOB for a list of another length
 */
function controlScales({ path, controlLayers }: WanModelFolder, scale: number | readonly number[]): Tensor {
  const scales = typeof scale === "number" ? Array<number>(controlLayers).fill(scale) : scale;
  if (scales.length === controlLayers) return tensor(Float32Array.from(scales), [controlLayers]);
  throw invalidJob(
    `the control has ${scales.length} scales, and reaches ${controlLayers} layers of the model ${basename(path)}: send ${controlLayers}, or one number for all`,
  );
}

/** @throws PipelineError INVALID_JOB where the model has no positions for them beside the clip */
function checkReferences(model: WanModelFolder, shape: ClipShape, count: number): void {
  const [frames] = tokenGrid(model, latentGrid(model, shape));
  const room = model.maxTokensPerAxis - frames;
  if (count <= room) return;
  throw invalidJob(
    `the job has ${count} reference pictures, and beside ${shape.frames} frames the model has positions for ${room}: send fewer, or a shorter clip`,
  );
}

/** A picture's latents, and zeros for what is drawn anew and for the mask. */
async function encodeReference({ components, model, encoding }: ConditionParts, pixels: Tensor): Promise<Tensor> {
  const encoder = new VideoEncoder(components, model, encoding);
  try {
    const latents = await encoder.push(pixels);
    const others = latents.dims.with(1, model.latentChannels + model.spatialScale ** 2);
    return concat([latents, zeros(others)], 1);
  } finally {
    encoder.dispose();
  }
}
