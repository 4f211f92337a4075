import { numericalError } from "#pipelines/core/errors.ts";
import type { Component } from "#pipelines/core/onnx.ts";
import { checkShape, isFiniteData, type Tensor } from "#pipelines/core/tensor.ts";
import { decodeInTiles } from "#pipelines/diffusion/decode-tiles.ts";
import { toVaeScale } from "#pipelines/diffusion/latent-scaling.ts";
import type { SdxlModelFolder } from "./model-folder.ts";

export interface DecodeOptions {
  readonly signal?: AbortSignal | undefined;
  /** Images of more pixels are decoded in tiles. */
  readonly tileAbovePixels?: number;
  /** Longest side of a tile, in pixels. */
  readonly tilePixels?: number;
}

/** Images up to this are decoded whole: SDXL's own size. */
const defaultTilePixels = 1024;

/**
 * Decodes the latents of one image to pixel values, nominally in −1…1.
 * @param latents `[1, channels, height, width]`, in the UNet's scale
 * @returns `[1, 3, height · scale, width · scale]`
 * @throws PipelineError NUMERICAL_ERROR when the VAE overflows; the signal's reason when it is aborted
 */
export async function decodeLatents(
  vaeDecoder: Component,
  { vae, latentChannels, vaeScaleFactor: scale }: SdxlModelFolder,
  latents: Tensor,
  options: DecodeOptions = {},
): Promise<Tensor> {
  const { tilePixels = defaultTilePixels, tileAbovePixels = defaultTilePixels ** 2, signal } = options;
  checkShape("latents", latents.dims, [1, latentChannels, -1, -1]);
  const [, , height = 0, width = 0] = latents.dims;
  const scaled = toVaeScale(latents, vae);
  const outputDims = [1, 3, height * scale, width * scale];
  const image =
    height * width * scale * scale <= tileAbovePixels
      ? await runDecoder(vaeDecoder, scaled, scale)
      : await decodeInTiles(scaled, outputDims, { scale, tileSize: Math.floor(tilePixels / scale), signal }, (tile) =>
          runDecoder(vaeDecoder, tile, scale),
        );
  if (!isFiniteData(image.data)) {
    throw numericalError(
      "the decoded image",
      "VAE decoders that overflow in float16 do this: use one in float32, or one fixed for float16.",
    );
  }
  return image;
}

async function runDecoder(vaeDecoder: Component, latents: Tensor, scale: number): Promise<Tensor> {
  const [batch = 1, , height = 0, width = 0] = latents.dims;
  const { sample } = await vaeDecoder.run({ latent_sample: latents }, ["sample"]);
  checkShape("decoded image", sample.dims, [batch, 3, height * scale, width * scale]);
  return sample;
}
