import { setImmediate } from "node:timers/promises";
import type { ComponentSet } from "#pipelines/core/component-set.ts";
import { modelInvalid, numericalError } from "#pipelines/core/errors.ts";
import type { Component } from "#pipelines/core/onnx.ts";
import { checkShape, concat, isFiniteData, release, type Tensor, tensor } from "#pipelines/core/tensor.ts";
import { encodeAreas, encodeInTiles, type TileArea } from "#pipelines/diffusion/encode-tiles.ts";
import { fromVaeScale } from "#pipelines/diffusion/latent-scaling.ts";
import { cutTile } from "#pipelines/diffusion/tiles.ts";
import { type RgbImage, toPixelValues } from "#pipelines/images/rgb.ts";
import { files, type WanModelFolder } from "./model-folder.ts";

export interface VideoEncoderOptions {
  readonly signal?: AbortSignal | undefined;
  /** Frames of more pixels are encoded in tiles. */
  readonly tileAbovePixels?: number | undefined;
  /** Longest side of a tile, in pixels: a multiple of four times the VAE's spatial scale. */
  readonly tilePixels?: number | undefined;
}

export interface VideoEncodingOptions extends VideoEncoderOptions {
  /** After each chunk: how much of the video is encoded, above 0 and up to 1. */
  onProgress?(share: number): void;
}

/** As for decoding, whose memory is about the same. */
const defaultTileAbovePixels = 512 * 512;
const defaultTilePixels = 384;

/** Videos that are encoded in turns need both. */
const encoderFiles = [files.vaeEncoderFirst, files.vaeEncoderNext] as const;

/** What a causal encoder keeps of the frames so far, by the name of its input: `cache.0`, `cache.1`, … */
type FeatureCache = Readonly<Record<string, Tensor>>;

/**
 * Encodes a video chunk by chunk: the first frame makes one latent frame, then as many as the VAE's temporal scale. What the
 * encoder's causal convolutions need of the frames before is handed from chunk to chunk, so that memory does not grow with
 * the length. Large frames are encoded in tiles, as `_tiled_encode` of diffusers' `AutoencoderKLWan` does it; the time loop
 * is the outer one, and every tile has a cache of its own.
 */
export class VideoEncoder {
  readonly #components: ComponentSet;
  readonly #model: WanModelFolder;
  readonly #options: VideoEncoderOptions;
  readonly #caches: FeatureCache[] = [];
  #chunks = 0;

  constructor(components: ComponentSet, model: WanModelFolder, options: VideoEncoderOptions = {}) {
    this.#components = components;
    this.#model = model;
    this.#options = options;
  }

  /**
   * Encodes the next frames of the video.
   * @param chunk pixel values in −1…1, `[1, 3, frames, height, width]`: one frame at first, then as many as the temporal scale
   * @returns their latent frame in the transformer's scale, `[1, channels, 1, height / scale, width / scale]`: the mean of the
   *   distribution
   * @throws PipelineError MODEL_INVALID, or NUMERICAL_ERROR when the VAE overflows; the signal's reason
   */
  async push(chunk: Tensor): Promise<Tensor> {
    const { signal } = this.#options;
    signal?.throwIfAborted();
    const { latentChannels, spatialScale, temporalScale, vae } = this.#model;
    const isFirst = this.#chunks === 0;
    checkShape("frames to encode", chunk.dims, [1, 3, isFirst ? 1 : temporalScale, -1, -1]);
    const encoder = await this.#components.get(isFirst ? encoderFiles[0] : encoderFiles[1], encoderFiles);
    const parameters = await this.#encode(encoder, chunk);
    const [height = 0, width = 0] = chunk.dims.slice(-2).map((size) => size / spatialScale);
    checkShape("encoded frames", parameters.dims, [1, 2 * latentChannels, 1, height, width]);
    this.#chunks++;
    const mean = tensor(parameters.data.slice(0, parameters.data.length / 2), [1, latentChannels, 1, height, width]);
    release(parameters);
    if (!isFiniteData(mean.data)) {
      throw numericalError(
        `the encoded frames of chunk ${this.#chunks}`,
        "VAE encoders that overflow in float16 do this: export the VAE in float32.",
      );
    }
    // Messages of the dispatcher (cancel, shutdown) come in between chunks only.
    await setImmediate();
    return fromVaeScale(mean, vae);
  }

  /** Gives the memory of the caches back; the video ends here. */
  dispose(): void {
    for (const cache of this.#caches.splice(0)) release(...Object.values(cache));
  }

  async #encode(encoder: Component, chunk: Tensor): Promise<Tensor> {
    const { tileAbovePixels = defaultTileAbovePixels, tilePixels = defaultTilePixels, signal } = this.#options;
    const run = async (tile: Tensor, index: number) => {
      const before = this.#caches[index] ?? {};
      const { parameters, cache } = await runEncoder(encoder, tile, before);
      this.#caches[index] = cache;
      release(...Object.values(before));
      return parameters;
    };
    const [height = 0, width = 0] = chunk.dims.slice(-2);
    if (height * width <= tileAbovePixels) return run(chunk, 0);
    return encodeInTiles(chunk, { scale: this.#model.spatialScale, tilePixels, signal }, run);
  }
}

/**
 * Encodes a video whose frames are taken as they are needed. Frames at the end that fill no chunk are left out, as diffusers
 * does.
 * @param frames all of one size, a multiple of the VAE's spatial scale
 * @returns `[1, channels, latent frames, height / scale, width / scale]`, in the transformer's scale
 * @throws what {@link VideoEncoder.push} throws; RangeError when there is no frame
 */
export async function encodeVideo(
  components: ComponentSet,
  model: WanModelFolder,
  frames: AsyncIterable<RgbImage> | Iterable<RgbImage>,
  options: VideoEncoderOptions = {},
): Promise<Tensor> {
  const encoder = new VideoEncoder(components, model, options);
  const latents: Tensor[] = [];
  let chunk: RgbImage[] = [];
  try {
    for await (const frame of frames) {
      chunk.push(frame);
      if (latents.length > 0 && chunk.length < model.temporalScale) continue;
      latents.push(await encoder.push(chunkOf(chunk)));
      chunk = [];
    }
    return concat(latents, 2);
  } finally {
    encoder.dispose();
  }
}

/**
 * Encodes a video whose frames can be had again and again, with the same result: one tile after the other, so that only one
 * tile's caches are held, where {@link encodeVideo} holds those of all.
 * @param pixels what chunks are made of, in any number of frames `[1, 3, …, height, width]`
 * @param chunkAt gets a tile of `pixels`, and makes of it what {@link VideoEncoder.push} takes as its chunk of this number
 * @returns as {@link encodeVideo}
 * @throws what {@link VideoEncoder.push} throws
 */
export async function encodeByTiles(
  components: ComponentSet,
  model: WanModelFolder,
  pixels: Tensor,
  chunks: number,
  chunkAt: (tile: Tensor, chunk: number) => Tensor,
  options: VideoEncodingOptions = {},
): Promise<Tensor> {
  const [height = 0, width = 0] = pixels.dims.slice(-2);
  const chunksOf = ({ rows, columns }: TileArea) => {
    const tile = cutTile(pixels, rows, columns);
    return (chunk: number) => chunkAt(tile, chunk);
  };
  return encodeByAreas(components, model, { width, height }, chunks, chunksOf, options);
}

/** Whether frames of this size are encoded in tiles. */
export function isTiled(
  { width, height }: { readonly width: number; readonly height: number },
  { tileAbovePixels = defaultTileAbovePixels }: VideoEncoderOptions,
): boolean {
  return height * width > tileAbovePixels;
}

/**
 * The same of frames that are nowhere together as pixel values.
 * @param chunksOf gets a tile's place, and makes the tile's chunks by their number
 */
export async function encodeByAreas(
  components: ComponentSet,
  model: WanModelFolder,
  size: { readonly width: number; readonly height: number },
  chunks: number,
  chunksOf: (area: TileArea) => (chunk: number) => Tensor,
  options: VideoEncodingOptions = {},
): Promise<Tensor> {
  const { tilePixels = defaultTilePixels, signal } = options;
  const run = async (area: TileArea, index: number, count: number): Promise<Tensor> => {
    const chunkAt = chunksOf(area);
    const encoder = new VideoEncoder(components, model, { tileAbovePixels: Infinity, signal });
    const latents: Tensor[] = [];
    try {
      for (let chunk = 0; chunk < chunks; chunk++) {
        latents.push(await encoder.push(chunkAt(chunk)));
        options.onProgress?.((index * chunks + chunk + 1) / (count * chunks));
      }
    } finally {
      encoder.dispose();
    }
    return concat(latents, 2);
  };
  if (isTiled(size, options)) return encodeAreas(size, { scale: model.spatialScale, tilePixels, signal }, run);
  return run({ rows: { start: 0, size: size.height }, columns: { start: 0, size: size.width } }, 0, 1);
}

/** Frames of one size as pixel values in −1…1, `[1, 3, frames, height, width]`. */
export function chunkOf(frames: readonly RgbImage[]): Tensor {
  const pixels = frames.map((frame) => toPixelValues(frame));
  return concat(
    pixels.map(({ data, dims }) => ({ data, dims: dims.toSpliced(2, 0, 1) })),
    2,
  );
}

async function runEncoder(
  encoder: Component,
  sample: Tensor,
  cache: FeatureCache,
): Promise<{ readonly parameters: Tensor; readonly cache: FeatureCache }> {
  const outputs = encoder.outputs.filter((name) => name.startsWith("cache_out."));
  if (outputs.length === 0)
    throw modelInvalid(encoder.path, "there are no cache_out outputs; export the VAE in chunks");
  const { latent_parameters: parameters, ...kept } = await encoder.run<string>({ sample, ...cache }, [
    "latent_parameters",
    ...outputs,
  ]);
  if (parameters === undefined) throw modelInvalid(encoder.path, "there is no output latent_parameters");
  const renamed = Object.entries(kept).map(([name, value]) => [name.replace("cache_out.", "cache."), value]);
  return { parameters, cache: Object.fromEntries(renamed) };
}
