import type { LatentRgb } from "#pipelines/diffusion/preview.ts";
import type { WanModelFolder } from "./model-folder.ts";

/** By latent channel: red, green, blue in −1…1. ComfyUI's `Wan21` (comfy/latent_formats.py), fitted to decoded frames. */
const factors = [
  [-0.1299, -0.1692, 0.2932],
  [0.0671, 0.0406, 0.0442],
  [0.3568, 0.2548, 0.1747],
  [0.0372, 0.2344, 0.142],
  [0.0313, 0.0189, -0.0328],
  [0.0296, -0.0956, -0.0665],
  [-0.3477, -0.4059, -0.2925],
  [0.0166, 0.1902, 0.1975],
  [-0.0412, 0.0267, -0.1364],
  [-0.1293, 0.074, 0.1636],
  [0.068, 0.3019, 0.1128],
  [0.0032, 0.0581, 0.0639],
  [-0.1251, 0.0927, 0.1699],
  [0.006, -0.0633, 0.0005],
  [0.3477, 0.2275, 0.295],
  [0.1984, 0.0913, 0.1861],
] as const;
const offsets = [-0.1835, -0.0868, -0.336] as const;

/** From −1…1 to 0…255. */
const wanLatentRgb: LatentRgb = {
  weights: offsets.map((_, color) => factors.map((row) => (row[color] ?? 0) * 127.5)),
  biases: offsets.map((offset) => (offset + 1) * 127.5),
};

/** The first mean of WAN's VAE: another VAE of as many channels has another latent space. */
const wanFirstMean = -0.7571;

/** What the model's latents look like: as its VAE's config says, else WAN's own where it is WAN's VAE. */
export function latentRgbOf({ vae, latentChannels }: WanModelFolder): LatentRgb | undefined {
  const isWan = latentChannels === factors.length && vae.normalization?.mean[0] === wanFirstMean;
  return vae.latentRgb ?? (isWan ? wanLatentRgb : undefined);
}
