import { sliceBatch, type Tensor } from "#pipelines/core/tensor.ts";
import { encodeSmallWebp } from "#pipelines/images/encode.ts";
import type { RgbImage } from "#pipelines/images/rgb.ts";

/** What a preview may weigh: it travels with a progress report. */
const previewLimitBytes = 64 * 1024;

/** RGB (0…255) as a linear function of the latents: one row of weights per colour, and what is added. */
export interface LatentRgb {
  readonly weights: readonly (readonly number[])[];
  readonly biases: readonly number[];
}

/**
 * Encodes previews beside the denoising: no step waits for one, and it is ready for the report of a later step. While one
 * is being encoded, further pictures are passed over.
 */
export class PreviewFeed {
  #ready: Uint8Array | undefined;
  #isEncoding = false;

  /**
   * Starts on a small picture of the first image, one pixel per latent, as WebP of at most 64 KB.
   * @param latents `[batch, channels, height, width]`, best the clean latents that a step predicts; read before this
   *   returns
   */
  start(latents: Tensor, latentRgb: LatentRgb): void {
    if (this.#isEncoding) return;
    this.#isEncoding = true;
    encodeSmallWebp(latentsToRgb(sliceBatch(latents, 0, 1), latentRgb), previewLimitBytes)
      .then((bytes) => {
        this.#ready = bytes;
      })
      // A preview is a courtesy: the picture itself goes on without it.
      .catch(() => undefined)
      .finally(() => {
        this.#isEncoding = false;
      });
  }

  /** The newest preview, once. */
  take(): Uint8Array | undefined {
    const bytes = this.#ready;
    this.#ready = undefined;
    return bytes;
  }
}

/** Approximates the picture that latents `[1, channels, height, width]` decode to, one pixel per latent. */
export function latentsToRgb({ data, dims }: Tensor, { weights, biases }: LatentRgb): RgbImage {
  const [, , height = 0, width = 0] = dims;
  const pixels = height * width;
  const out = new Uint8ClampedArray(pixels * 3);
  for (const [color, row] of weights.entries()) {
    for (let pixel = 0; pixel < pixels; pixel++) {
      let value = biases[color] ?? 0;
      for (const [channel, weight] of row.entries()) value += weight * (data[channel * pixels + pixel] ?? 0);
      out[pixel * 3 + color] = value;
    }
  }
  return { data: out, width, height };
}
