import { setImmediate } from "node:timers/promises";
import type { ComponentSet } from "#pipelines/core/component-set.ts";
import { modelInvalid, numericalError } from "#pipelines/core/errors.ts";
import type { Component } from "#pipelines/core/onnx.ts";
import { checkShape, isFiniteData, release, type Tensor } from "#pipelines/core/tensor.ts";
import { decodeInTiles } from "#pipelines/diffusion/decode-tiles.ts";
import { toVaeScale } from "#pipelines/diffusion/latent-scaling.ts";
import { frameOf } from "#pipelines/diffusion/video-frames.ts";
import { files, type WanModelFolder } from "./model-folder.ts";

export interface DecodeVideoOptions {
  readonly signal?: AbortSignal | undefined;
  /** Frames of more pixels are decoded in tiles. */
  readonly tileAbovePixels?: number | undefined;
  /** Longest side of a tile, in pixels. */
  readonly tilePixels?: number | undefined;
}

const defaultTileAbovePixels = 512 * 512;
const defaultTilePixels = 384;

/** What a causal decoder keeps of the frames so far, by the name of its input: `cache.0`, `cache.1`, … */
type FeatureCache = Readonly<Record<string, Tensor>>;

/**
 * Decodes a video chunk by chunk: the first latent frame makes one frame, each further one as many as the VAE's temporal
 * scale. What the decoder's causal convolutions need of the frames before is handed from chunk to chunk, so that memory
 * does not grow with the length. Large frames are decoded in tiles with blended seams; the time loop is the outer one, so
 * that frames come in their order, and every tile has a cache of its own. Caches lie in this process's memory and cross to
 * the GPU and back with every chunk: onnxruntime-node (1.30) leaves outputs on a device for WebGPU alone, not for CUDA.
 * @param latents `[1, channels, frames, height, width]`, in the transformer's scale; not changed
 * @yields pixel values of the next frames, nominally in −1…1, `[1, 3, frames, height · scale, width · scale]`; valid until
 *   the next are requested
 * @throws PipelineError NUMERICAL_ERROR when the VAE overflows; the signal's reason when it is aborted, within one run of
 *   the decoder
 */
export async function* decodeVideo(
  components: ComponentSet,
  model: WanModelFolder,
  latents: Tensor,
  options: DecodeVideoOptions = {},
): AsyncGenerator<Tensor, void, undefined> {
  const { signal } = options;
  checkShape("latents", latents.dims, [1, model.latentChannels, -1, -1, -1]);
  const frames = latents.dims[2] ?? 0;
  const caches: FeatureCache[] = [];
  for (let frame = 0; frame < frames; frame++) {
    signal?.throwIfAborted();
    const decoder = await components.get(frame === 0 ? files.vaeFirst : files.vaeNext);
    const chunk = toVaeScale(frameOf(latents, frame), model.vae);
    const video = await decodeChunk(decoder, model, chunk, caches, frame === 0 ? 1 : model.temporalScale, options);
    if (!isFiniteData(video.data)) {
      throw numericalError(
        `the frames of chunk ${frame + 1} of ${frames}`,
        "VAE decoders that overflow in float16 do this: export the VAE in float32.",
      );
    }
    yield video;
    release(video);
    // Messages of the dispatcher (cancel, shutdown) come in between chunks only.
    await setImmediate();
  }
}

async function decodeChunk(
  decoder: Component,
  model: WanModelFolder,
  chunk: Tensor,
  caches: FeatureCache[],
  frameCount: number,
  { signal, tileAbovePixels = defaultTileAbovePixels, tilePixels = defaultTilePixels }: DecodeVideoOptions,
): Promise<Tensor> {
  const scale = model.spatialScale;
  const [height = 0, width = 0] = chunk.dims.slice(-2);
  const outputDims = [1, 3, frameCount, height * scale, width * scale];
  const run = async (tile: Tensor, index: number) => {
    const before = caches[index] ?? {};
    const { video, cache } = await runDecoder(decoder, tile, before);
    const [tileHeight = 0, tileWidth = 0] = tile.dims.slice(-2);
    checkShape("decoded frames", video.dims, [1, 3, frameCount, tileHeight * scale, tileWidth * scale]);
    caches[index] = cache;
    release(...Object.values(before));
    return video;
  };
  if (height * width * scale * scale <= tileAbovePixels) return run(chunk, 0);
  return decodeInTiles(chunk, outputDims, { scale, tileSize: Math.floor(tilePixels / scale), signal }, run);
}

async function runDecoder(
  decoder: Component,
  latents: Tensor,
  cache: FeatureCache,
): Promise<{ readonly video: Tensor; readonly cache: FeatureCache }> {
  const outputs = decoder.outputs.filter((name) => name.startsWith("cache_out."));
  if (outputs.length === 0)
    throw modelInvalid(decoder.path, "there are no cache_out outputs; export the VAE in chunks");
  const { sample, ...kept } = await decoder.run<string>({ latent_sample: latents, ...cache }, ["sample", ...outputs]);
  if (sample === undefined) throw modelInvalid(decoder.path, "there is no output sample");
  const renamed = Object.entries(kept).map(([name, value]) => [name.replace("cache_out.", "cache."), value]);
  return { video: sample, cache: Object.fromEntries(renamed) };
}
