import type { FidelityArea } from "#pipelines/testing/fidelity.ts";
import { type ImageCase, ImageModels, imageCases, imageDifference } from "./image-cases.ts";

/** Of CLIP's pixels, which are the same but for the last bit. */
export const pixelLimit = 1e-6;
/** Of features, of mask and given frames, of predictions and latents. */
export const stageLimit = 1e-4;

export const imageFidelity: FidelityArea = {
  title: "Clips from given frames",
  difference:
    "Largest difference of any value of the pictures' features, mask and given frames, predictions and latents, at every step. CLIP's pixels are within 1e-6, and of the frames' 8-bit values at most one in 1,000 is off, by one.",
  cases: imageCases.map((each) => ({
    setting: settingOf(each),
    reference: each.first === null ? "diffusers' `WanPipeline`" : "diffusers' `WanImageToVideoPipeline`",
    limit: stageLimit,
    measure: async () => {
      const models = new ImageModels();
      const { features, condition, steps } = await imageDifference(models, each);
      await models.dispose();
      return Math.max(features, condition, steps);
    },
  })),
};

function settingOf({
  model,
  width,
  height,
  frames,
  first,
  last,
  guidance_scale: guidance,
  scheduler,
}: ImageCase): string {
  const parts = [
    {
      i2v: "WAN 2.1",
      flf2v: "WAN 2.1",
      "i2v-2": "WAN 2.2, two transformers",
      "i2v-other": "a VAE of scale 4",
      ti2v: "WAN 2.2, a timestep for every token",
    }[model],
    first === null ? "from text" : last === null ? "a first frame" : "a first and a last frame",
    guidance > 1 ? undefined : "no guidance",
    scheduler === null ? undefined : `\`${scheduler}\``,
    `${frames} ${frames === 1 ? "frame" : "frames"} of ${width} × ${height}`,
  ];
  return parts.filter((part) => part !== undefined).join(", ");
}
