import { invalidJob } from "#pipelines/core/errors.ts";
import type { WanModelFolder } from "./model-folder.ts";

/** Size and length of a clip, in pixels and frames. */
export interface ClipShape {
  readonly width: number;
  readonly height: number;
  readonly frames: number;
}

/** Counts along frames, height and width. */
export type Grid = readonly [frames: number, height: number, width: number];

/** Latents of a clip. The first frame has a latent frame of its own; a last one that is not full is made whole. */
export function latentGrid(
  { temporalScale, spatialScale }: WanModelFolder,
  { frames, height, width }: ClipShape,
): Grid {
  return [Math.ceil((frames - 1) / temporalScale) + 1, height / spatialScale, width / spatialScale];
}

/** Tokens of the transformer for these latents. */
export function tokenGrid({ patchSize }: WanModelFolder, [frames, height, width]: Grid): Grid {
  return [frames / patchSize[0], height / patchSize[1], width / patchSize[2]];
}

/** @throws PipelineError INVALID_JOB when the model cannot make a clip of this shape */
export function checkShapeOf(model: WanModelFolder, shape: ClipShape): void {
  const { spatialScale, temporalScale, patchSize, maxTokensPerAxis } = model;
  const [heightStep, widthStep] = [spatialScale * patchSize[1], spatialScale * patchSize[2]];
  const { width, height, frames } = shape;
  if (!(width > 0 && height > 0 && width % widthStep === 0 && height % heightStep === 0)) {
    const rule = heightStep === widthStep ? `multiples of ${widthStep}` : `multiples of ${widthStep} and ${heightStep}`;
    throw invalidJob(`width and height must be ${rule} for this model, not ${width}×${height}`);
  }
  if (!Number.isInteger(frames) || frames < 1) throw invalidJob(`a clip has at least one frame, not ${frames}`);
  const tokens = tokenGrid(model, latentGrid(model, shape));
  if (Math.max(...tokens) > maxTokensPerAxis) {
    const maxFrames = (maxTokensPerAxis * patchSize[0] - 1) * temporalScale + 1;
    const limit = `${maxTokensPerAxis * widthStep}×${maxTokensPerAxis * heightStep} with ${maxFrames} frames`;
    throw invalidJob(`${width}×${height} with ${frames} frames is more than this model has positions for: ${limit}`);
  }
}
