import type { FidelityArea } from "#pipelines/testing/fidelity.ts";
import { type PictureCase, pictureCases, runPictureCase } from "./picture-cases.ts";

/** Latents are near 1, as far as the tests' own model draws. */
export const latentLimit = 1e-4;

const pipelines = {
  img2img: "StableDiffusionXLImg2ImgPipeline",
  inpaint: "StableDiffusionXLInpaintPipeline",
} as const;

export const pictureFidelity: FidelityArea = {
  title: "Pictures from pictures",
  difference: "Largest difference of any value of the latents, before the first step and after each one.",
  cases: pictureCases.map((each) => ({
    setting: settingOf(each),
    reference: `diffusers' \`${pipelines[each.task]}\``,
    limit: latentLimit,
    measure: async () => Math.max(...Object.values((await runPictureCase(each)).latents)),
  })),
};

function settingOf({ task, model, strength, steps, num_images, scheduler, vae_overrides, width, height }: PictureCase) {
  const parts = [
    task === "inpaint" ? "inpainting" : "image to image",
    `strength ${strength} of ${steps} steps`,
    `${width} × ${height}`,
    ...(model.endsWith("inpainting") ? ["nine-channel UNet"] : []),
    ...(num_images > 1 ? [`${num_images} images`] : []),
    ...(scheduler === null ? [] : [`\`${scheduler}\``]),
    ...(Object.keys(vae_overrides).length > 0 ? ["mean and deviation by channel"] : []),
  ];
  return parts.join(", ");
}
