import type { Component } from "#pipelines/core/onnx.ts";
import { elementCount, isFiniteData } from "#pipelines/core/tensor.ts";
import { encodeSmallWebp } from "#pipelines/images/encode.ts";
import { toRgbImage } from "#pipelines/images/rgb.ts";
import { toVaeScale } from "./latent-scaling.ts";
import { type PreviewEncoder, previewLimitBytes } from "./preview.ts";

/** Longest edge in pixels: what a person looks at beside a progress bar, and what 64 KB hold. */
const previewEdge = 512;

/** More pixels are not decoded: a preview must not need the memory that the picture is decoded in tiles for. */
const maxDecodedPixels = 1024 * 1024;

export interface PreviewDecoder {
  /** Takes latents and gives pixel values in −1…1, under whatever names: an `AutoencoderTiny` (TAESD) as ONNX. */
  readonly component: Component;
  readonly scalingFactor: number;
  /** Pixels per latent, on either axis. */
  readonly scale: number;
}

/**
 * Previews by a small decoder: WebP of at most 64 KB, with a longest edge of 512 pixels.
 * @param otherwise makes those that are too large to be decoded beside the denoising, or come out as no numbers
 */
export function decoderPreview(decoder: PreviewDecoder, otherwise: PreviewEncoder | undefined): PreviewEncoder {
  const { component, scalingFactor, scale } = decoder;
  const [input = ""] = component.inputs.keys();
  const [output = ""] = component.outputs;
  return async (latents) => {
    if (elementCount(latents.dims.slice(-2)) * scale ** 2 > maxDecodedPixels) return otherwise?.(latents);
    const scaled = toVaeScale(latents, { scalingFactor, shiftFactor: 0, normalization: undefined });
    const { [output]: image } = await component.run({ [input]: scaled }, [output]);
    // In float16 it may overflow where the VAE does not.
    if (image === undefined || !isFiniteData(image.data)) return otherwise?.(latents);
    return encodeSmallWebp(toRgbImage(image), previewLimitBytes, previewEdge);
  };
}
