import { elementCount, type Tensor, tensor } from "#pipelines/core/tensor.ts";
import { encodeSmallWebp } from "#pipelines/images/encode.ts";
import type { RgbImage } from "#pipelines/images/rgb.ts";
import type { Schedule } from "#pipelines/schedulers/scheduler.ts";
import type { DenoiseStep } from "./denoise.ts";

/** What a preview may weigh: it travels with a progress report. */
export const previewLimitBytes = 64 * 1024;

/** RGB (0…255) as a linear function of the latents: one row of weights per colour, and what is added. */
export interface LatentRgb {
  readonly weights: readonly (readonly number[])[];
  readonly biases: readonly number[];
}

/** A preview every so many steps. */
const previewInterval = 4;

/** Makes a small picture of clean latents `[1, channels, …]`, which it reads before it returns; undefined for none. */
export type PreviewEncoder = (latents: Tensor) => Promise<Uint8Array | undefined>;

/**
 * Encodes previews beside the denoising: no step waits for one, and it is ready for the report of a later step. While one
 * is being encoded, further pictures are passed over.
 */
export class PreviewFeed {
  readonly #encode: PreviewEncoder;
  #ready: Uint8Array | undefined;
  #isEncoding = false;

  constructor(encode: PreviewEncoder) {
    this.#encode = encode;
  }

  /** Every few steps, starts on what the first of the batch would look like if the model were right already. */
  onStep({ step, stepIndex, noisePrediction, sample }: DenoiseStep, schedule: Schedule): void {
    if (step % previewInterval !== 0 || this.#isEncoding) return;
    const dims = sample.dims.with(0, 1);
    const clean = new Float32Array(elementCount(dims));
    const first = ({ data }: Tensor) => data.subarray(0, clean.length);
    schedule.predictOriginalSample(first(noisePrediction), stepIndex, first(sample), clean);
    this.#start(tensor(clean, dims));
  }

  /** The newest preview, once. */
  take(): Uint8Array | undefined {
    const bytes = this.#ready;
    this.#ready = undefined;
    return bytes;
  }

  #start(latents: Tensor): void {
    this.#isEncoding = true;
    this.#encode(latents)
      .then((bytes) => {
        this.#ready = bytes;
      })
      // A preview is a courtesy: the picture itself goes on without it.
      .catch(() => undefined)
      .finally(() => {
        this.#isEncoding = false;
      });
  }
}

/** Previews as WebP of at most 64 KB, one pixel per latent. */
export function imagePreview(latentRgb: LatentRgb): PreviewEncoder {
  return (latents) => encodeSmallWebp(latentsToRgb(latents, latentRgb), previewLimitBytes);
}

/** Approximates the picture that latents `[1, channels, height, width]` decode to, one pixel per latent. */
export function latentsToRgb({ data, dims }: Tensor, { weights, biases }: LatentRgb): RgbImage {
  const [, , height = 0, width = 0] = dims;
  const pixels = height * width;
  const out = new Uint8ClampedArray(pixels * 3);
  const sums = new Float64Array(pixels);
  for (const [color, row] of weights.entries()) {
    sums.fill(biases[color] ?? 0);
    for (const [channel, weight] of row.entries()) {
      const start = channel * pixels;
      for (let pixel = 0; pixel < pixels; pixel++)
        sums[pixel] = (sums[pixel] ?? 0) + weight * (data[start + pixel] ?? 0);
    }
    for (let pixel = 0; pixel < pixels; pixel++) out[pixel * 3 + color] = sums[pixel] ?? 0;
  }
  return { data: out, width, height };
}
