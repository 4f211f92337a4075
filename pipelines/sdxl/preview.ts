import { encodeSmallWebp, type RgbImage } from "../images/encode.ts";
import { sliceBatch, type Tensor } from "../tensor.ts";
import type { SdxlModelFolder } from "./model-folder.ts";

/** What a preview may weigh: it travels with a progress report. */
const previewLimitBytes = 64 * 1024;

const latentChannels = 4;

/**
 * RGB (0…255) as a linear function of the four latents of SDXL's VAE: one row per colour, and what is added. From
 * Timothy Alexis Vass, "Explaining the SDXL latent space" (2023), as diffusers' guide on pipeline callbacks uses it.
 */
const weights = [
  [60, -60, 25, -70],
  [60, -5, 15, -50],
  [60, 10, -5, -35],
] as const;
const biases = [150, 140, 130] as const;

/** SDXL's VAE scales by this; another factor means another latent space. */
const sdxlScalingFactor = 0.13025;

/** Whether {@link latentsToRgb} knows what this model's latents look like. */
export function hasPreview({ latentChannels: channels, vae }: SdxlModelFolder): boolean {
  return channels === latentChannels && vae.scalingFactor === sdxlScalingFactor;
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
   * @param latents `[batch, 4, height, width]`, best the clean latents that a step predicts; read before this returns
   */
  start(latents: Tensor): void {
    if (this.#isEncoding) return;
    this.#isEncoding = true;
    encodeSmallWebp(latentsToRgb(sliceBatch(latents, 0, 1)), previewLimitBytes)
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

/** Approximates the picture that latents `[1, 4, height, width]` decode to, one pixel per latent. */
export function latentsToRgb({ data, dims }: Tensor): RgbImage {
  const [, , height = 0, width = 0] = dims;
  const pixels = height * width;
  const out = new Uint8ClampedArray(pixels * 3);
  for (let color = 0; color < 3; color++) {
    const [a, b, c, d] = weights[color] ?? weights[0];
    const bias = biases[color] ?? 0;
    for (let pixel = 0; pixel < pixels; pixel++) {
      out[pixel * 3 + color] =
        a * (data[pixel] ?? 0) +
        b * (data[pixels + pixel] ?? 0) +
        c * (data[2 * pixels + pixel] ?? 0) +
        d * (data[3 * pixels + pixel] ?? 0) +
        bias;
    }
  }
  return { data: out, width, height };
}
