import { setImmediate } from "node:timers/promises";
import { numericalError } from "#pipelines/core/errors.ts";
import type { Component } from "#pipelines/core/onnx.ts";
import { checkShape, isFiniteData, type Tensor, tensor, zeros } from "#pipelines/core/tensor.ts";
import { blendWeights, planTiles, type Tile } from "#pipelines/diffusion/tiles.ts";
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

/** Tiles share a quarter of their largest side, as in diffusers' tiled VAE. */
const overlapShare = 1 / 4;

/**
 * Decodes the latents of one image to pixel values, nominally in −1…1.
 * @param latents `[1, channels, height, width]`, in the UNet's scale
 * @returns `[1, 3, height · scale, width · scale]`
 * @throws PipelineError NUMERICAL_ERROR when the VAE overflows; the signal's reason when it is aborted
 */
export async function decodeLatents(
  vaeDecoder: Component,
  model: SdxlModelFolder,
  latents: Tensor,
  options: DecodeOptions = {},
): Promise<Tensor> {
  const { tilePixels = defaultTilePixels, tileAbovePixels = defaultTilePixels ** 2, signal } = options;
  const scale = model.vaeScaleFactor;
  const scaled = toVaeScale(latents, model);
  const [, , height = 0, width = 0] = latents.dims;
  const isWhole = height * width * scale * scale <= tileAbovePixels;
  const tileSize = Math.floor(tilePixels / scale);
  const image = isWhole
    ? await runDecoder(vaeDecoder, scaled, scale)
    : await decodeTiles(vaeDecoder, scaled, scale, tileSize, signal);
  if (!isFiniteData(image.data)) {
    throw numericalError(
      "the decoded image",
      "VAE decoders that overflow in float16 do this: use one in float32, or one fixed for float16.",
    );
  }
  return image;
}

/**
 * Pixel values as 8-bit RGB, row by row: (x/2 + ½) · 255, rounded half to even as NumPy does, which is also how a
 * clamped array stores.
 * @param image `[1, 3, height, width]`
 */
export function toRgb8(image: Tensor): Uint8ClampedArray {
  checkShape("image", image.dims, [1, 3, -1, -1]);
  const pixels = image.data.length / 3;
  const { data } = image;
  const out = new Uint8ClampedArray(data.length);
  for (let channel = 0; channel < 3; channel++) {
    const plane = channel * pixels;
    for (let pixel = 0, target = channel; pixel < pixels; pixel++, target += 3) {
      out[target] = Math.fround(Math.fround((data[plane + pixel] ?? 0) * 0.5 + 0.5) * 255);
    }
  }
  return out;
}

/** Undoes the scaling that the UNet was trained with. */
function toVaeScale(latents: Tensor, { vae, latentChannels }: SdxlModelFolder): Tensor {
  checkShape("latents", latents.dims, [1, latentChannels, -1, -1]);
  const size = latents.data.length / latentChannels;
  const scalingFactor = Math.fround(vae.scalingFactor);
  const out = new Float32Array(latents.data.length);
  for (let channel = 0; channel < latentChannels; channel++) {
    const std = Math.fround(vae.normalization?.std[channel] ?? 1);
    const shift = Math.fround(vae.normalization?.mean[channel] ?? vae.shiftFactor);
    for (let index = channel * size; index < (channel + 1) * size; index++) {
      out[index] = Math.fround(Math.fround((latents.data[index] ?? 0) * std) / scalingFactor) + shift;
    }
  }
  return tensor(out, latents.dims);
}

async function runDecoder(vaeDecoder: Component, latents: Tensor, scale: number): Promise<Tensor> {
  const [batch = 1, , height = 0, width = 0] = latents.dims;
  const { sample } = await vaeDecoder.run({ latent_sample: latents }, ["sample"]);
  checkShape("decoded image", sample.dims, [batch, 3, height * scale, width * scale]);
  return sample;
}

/** Memory stays that of one tile and the picture, whatever the size. */
async function decodeTiles(
  vaeDecoder: Component,
  latents: Tensor,
  scale: number,
  tileSize: number,
  signal: AbortSignal | undefined,
): Promise<Tensor> {
  const [, , height = 0, width = 0] = latents.dims;
  const overlap = Math.floor(tileSize * overlapShare);
  const image = zeros([1, 3, height * scale, width * scale]);
  for (const row of planTiles(height, tileSize, overlap)) {
    for (const column of planTiles(width, tileSize, overlap)) {
      signal?.throwIfAborted();
      const tile = await runDecoder(vaeDecoder, cutTile(latents, row, column), scale);
      addTile(image, tile, row, column, scale);
      await setImmediate();
    }
  }
  return image;
}

function cutTile(latents: Tensor, row: Tile, column: Tile): Tensor {
  const [, channels = 0, height = 0, width = 0] = latents.dims;
  const out = new Float32Array(channels * row.size * column.size);
  for (let channel = 0; channel < channels; channel++) {
    for (let y = 0; y < row.size; y++) {
      const from = (channel * height + row.start + y) * width + column.start;
      out.set(latents.data.subarray(from, from + column.size), (channel * row.size + y) * column.size);
    }
  }
  return tensor(out, [1, channels, row.size, column.size]);
}

function addTile(image: Tensor, tile: Tensor, row: Tile, column: Tile, scale: number): void {
  const [, , imageHeight = 0, imageWidth = 0] = image.dims;
  const [, , height = 0, width = 0] = tile.dims;
  const rowWeights = blendWeights(row, scale);
  const columnWeights = blendWeights(column, scale);
  for (let channel = 0; channel < 3; channel++) {
    for (let y = 0; y < height; y++) {
      const rowWeight = rowWeights[y] ?? 0;
      const source = (channel * height + y) * width;
      const target = (channel * imageHeight + row.start * scale + y) * imageWidth + column.start * scale;
      for (let x = 0; x < width; x++) {
        const weight = rowWeight * (columnWeights[x] ?? 0);
        image.data[target + x] = (image.data[target + x] ?? 0) + weight * (tile.data[source + x] ?? 0);
      }
    }
  }
}
