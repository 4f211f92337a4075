import { invalidJob } from "#pipelines/core/errors.ts";
import type { Component } from "#pipelines/core/onnx.ts";
import { encodePicture, type LatentDistribution } from "#pipelines/diffusion/latent-distribution.ts";
import { type Mask, maskOfLatents } from "#pipelines/images/mask.ts";
import { toPixelValues } from "#pipelines/images/rgb.ts";
import type { SdxlModelFolder } from "./model-folder.ts";
import type { SdxlReference } from "./request.ts";

/** A reference in latents. */
export interface EncodedReference extends Pick<SdxlReference, "strength" | "takesOneStep"> {
  readonly picture: LatentDistribution;
  readonly inpainting: Inpainting | undefined;
}

export interface Inpainting {
  /** 1 where the picture is drawn anew, `height · width` in latents. */
  readonly mask: Float32Array;
  /** The reference without what is drawn anew, for a UNet that is shown it. */
  readonly rest: LatentDistribution | undefined;
}

/** @throws PipelineError NUMERICAL_ERROR when the VAE overflows; the signal's reason */
export async function encodeReference(
  vaeEncoder: Component,
  model: SdxlModelFolder,
  { image, strength, takesOneStep, mask }: SdxlReference,
  signal?: AbortSignal,
): Promise<EncodedReference> {
  const sizes = { channels: model.latentChannels, scale: model.vaeScaleFactor, signal };
  const pixels = toPixelValues(image);
  const picture = await encodePicture(vaeEncoder, pixels, sizes);
  if (mask === undefined) return { strength, takesOneStep, picture, inpainting: undefined };
  const rest = model.isInpaintingUnet
    ? await encodePicture(vaeEncoder, { data: withoutMasked(pixels.data, mask), dims: pixels.dims }, sizes)
    : undefined;
  return { strength, takesOneStep, picture, inpainting: { mask: maskOfLatents(mask, model.vaeScaleFactor), rest } };
}

/** @throws PipelineError INVALID_JOB when the model draws nothing without a reference, or a mask, that is not there */
export function checkReference(
  { isInpaintingUnet, base }: SdxlModelFolder,
  reference: SdxlReference | undefined,
): void {
  if (isInpaintingUnet && reference?.mask === undefined) {
    throw invalidJob("this model paints into pictures only: send a reference picture and config.mask_image_url");
  }
  if (base.takesAestheticScore && reference === undefined) {
    throw invalidJob("this model is a refiner, which draws nothing from text alone: send a reference picture");
  }
}

/** Middle grey where the picture is drawn anew. */
function withoutMasked(pixels: Float32Array, mask: Mask): Float32Array {
  return pixels.map((value, index) => (mask.data[index % mask.data.length] === 1 ? 0 : value));
}
