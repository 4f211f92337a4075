import type { FidelityArea } from "#pipelines/testing/fidelity.ts";
import { latentLimit } from "./picture-fidelity.ts";
import { type RefinerCase, RefinerModels, refinerCases, refinerDifference } from "./refiner-cases.ts";

const references = {
  handover: "diffusers' `StableDiffusionXLPipeline`, then `StableDiffusionXLImg2ImgPipeline`",
  "handover-img2img": "diffusers' `StableDiffusionXLImg2ImgPipeline` twice",
  refiner: "diffusers' `StableDiffusionXLImg2ImgPipeline`",
  lcm: "diffusers' `StableDiffusionXLPipeline`",
  "lcm-img2img": "diffusers' `StableDiffusionXLImg2ImgPipeline`",
} as const;

export const refinerFidelity: FidelityArea = {
  title: "Refiners, and UNets that are shown the guidance scale",
  difference: "Largest difference of any value of the latents after each step, of base and refiner.",
  cases: refinerCases.map((each) => ({
    setting: settingOf(each),
    reference: references[each.task],
    limit: latentLimit,
    measure: async () => {
      const models = new RefinerModels();
      const difference = await refinerDifference(models, each);
      await models.dispose();
      return difference;
    },
  })),
};

function settingOf(each: RefinerCase): string {
  const { task, steps, denoising_end, strength, guidance_scale, num_images, scheduler, negative_prompt } = each;
  const parts = [
    task.startsWith("lcm") ? `\`timestep_cond\` of guidance ${guidance_scale}` : undefined,
    denoising_end === null ? undefined : `hand-over at ${denoising_end}`,
    task === "refiner"
      ? `refiner alone, aesthetic scores ${each.aesthetic_score} and ${each.negative_aesthetic_score}`
      : undefined,
    strength === null ? undefined : `image to image, strength ${strength}`,
    `${steps} steps`,
    negative_prompt === null ? "no negative prompt" : undefined,
    num_images > 1 ? `${num_images} images` : undefined,
    scheduler === null ? undefined : `\`${scheduler}\``,
  ];
  return parts.filter((part) => part !== undefined).join(", ");
}
