import { numericalError } from "#pipelines/core/errors.ts";
import type { Component } from "#pipelines/core/onnx.ts";
import { checkShape, isFiniteData, type Tensor, tensor } from "#pipelines/core/tensor.ts";
import { encodeInTiles } from "./encode-tiles.ts";
import { fromVaeScale, type LatentScaling } from "./latent-scaling.ts";
import type { NoiseSource } from "./noise.ts";

/** What a VAE encodes one picture to: a normal distribution for every value of its latents. */
export interface LatentDistribution {
  readonly mean: Float32Array;
  /** Absent for encoders that draw by themselves: `mean` is what they drew. */
  readonly std: Float32Array | undefined;
  /** `[channels, height, width]` */
  readonly shape: readonly number[];
}

/** Logarithms of variances are kept within this, as diffusers' `DiagonalGaussianDistribution` does. */
const logVarianceRange = [-30, 20] as const;

interface EncodeOptions {
  readonly channels: number;
  /** Pixels per latent, on either axis. */
  readonly scale: number;
  /** Pictures of more pixels than the square of this are encoded in tiles of it. */
  readonly tilePixels?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** SDXL's own size. */
const defaultTilePixels = 1024;

/**
 * Encodes one picture, a large one in tiles.
 * @param vaeEncoder puts out mean and logarithm of the variance side by side, as `optimum-cli export onnx` writes it today, or
 *   latents that it has drawn itself, as it did at first
 * @param pixels `[1, 3, height, width]` in −1…1
 * @throws PipelineError NUMERICAL_ERROR when the VAE overflows; the signal's reason when it is aborted
 */
export async function encodePicture(
  vaeEncoder: Component,
  pixels: Tensor,
  { channels, scale, tilePixels = defaultTilePixels, signal }: EncodeOptions,
): Promise<LatentDistribution> {
  const [name = ""] = vaeEncoder.outputs;
  const run = async (sample: Tensor): Promise<Tensor> => {
    const { [name]: encoded } = await vaeEncoder.run({ sample }, [name]);
    if (encoded === undefined) throw new RangeError("the VAE encoder has no output");
    return encoded;
  };
  const [height = 0, width = 0] = pixels.dims.slice(2).map((size) => size / scale);
  const isLarge = height * width * scale ** 2 > tilePixels ** 2;
  const encoded = isLarge ? await encodeInTiles(pixels, { scale, tilePixels, signal }, run) : await run(pixels);
  const hasVariance = encoded.dims[1] !== channels;
  checkShape("encoded picture", encoded.dims, [1, hasVariance ? 2 * channels : channels, height, width]);
  if (!isFiniteData(encoded.data)) {
    throw numericalError(
      "the encoded reference picture",
      "VAE encoders that overflow in float16 do this: use one in float32, or one fixed for float16.",
    );
  }
  const size = channels * height * width;
  const [min, max] = logVarianceRange;
  const logVariance = encoded.data.subarray(size);
  return {
    mean: encoded.data.subarray(0, size),
    std: hasVariance ? logVariance.map((value) => Math.exp(0.5 * Math.min(Math.max(value, min), max))) : undefined,
    shape: [channels, height, width],
  };
}

/**
 * Latents of the picture for each image of a batch, each with noise of its own, in the denoiser's scale:
 * `[images, channels, height, width]`.
 */
export function sampleLatents(
  { mean, std, shape }: LatentDistribution,
  noise: NoiseSource,
  images: number,
  scaling: LatentScaling,
): Tensor {
  const drawn = std && noise.draw(shape).data;
  const data = new Float32Array(images * mean.length);
  for (let index = 0; index < data.length; index++) {
    const value = index % mean.length;
    data[index] = (mean[value] ?? 0) + Math.fround((std?.[value] ?? 0) * (drawn?.[index] ?? 0));
  }
  return fromVaeScale(tensor(data, [images, ...shape]), scaling);
}
