import type { LatentRgb } from "#pipelines/diffusion/preview.ts";
import type { SdxlModelFolder } from "./model-folder.ts";

/**
 * For the four latents of SDXL's VAE. From Timothy Alexis Vass, "Explaining the SDXL latent space" (2023), as diffusers'
 * guide on pipeline callbacks uses it.
 */
export const sdxlLatentRgb: LatentRgb = {
  weights: [
    [60, -60, 25, -70],
    [60, -5, 15, -50],
    [60, 10, -5, -35],
  ],
  biases: [150, 140, 130],
};

/** SDXL's VAE has so many channels and scales by this; others mean another latent space. */
const sdxlLatentChannels = 4;
const sdxlScalingFactor = 0.13025;

/** What the model's latents look like: as its VAE's config says, else SDXL's own where it is SDXL's VAE. */
export function latentRgbOf({ latentChannels, vae }: SdxlModelFolder): LatentRgb | undefined {
  const isSdxl = latentChannels === sdxlLatentChannels && vae.scalingFactor === sdxlScalingFactor;
  return vae.latentRgb ?? (isSdxl ? sdxlLatentRgb : undefined);
}
