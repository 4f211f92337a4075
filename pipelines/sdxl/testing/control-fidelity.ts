import type { FidelityArea } from "#pipelines/testing/fidelity.ts";
import { type ControlCase, controlCases, runControlCase, withControlPipelines } from "./control-cases.ts";
import { latentLimit } from "./picture-fidelity.ts";

const tasks = {
  txt2img: { name: "text to image", suffix: "Pipeline" },
  img2img: { name: "image to image", suffix: "Img2ImgPipeline" },
  inpaint: { name: "inpainting", suffix: "InpaintPipeline" },
} as const;

export const controlFidelity: FidelityArea = {
  title: "ControlNet and IP-Adapter",
  difference: "Largest difference of any value of the latents, before the first step and after each one.",
  cases: controlCases.map((each) => ({
    setting: settingOf(each),
    reference: referenceOf(each),
    limit: latentLimit,
    measure: () =>
      withControlPipelines(async (pipelineOf) =>
        Math.max(...Object.values(await runControlCase(await pipelineOf(each), each))),
      ),
  })),
};

function referenceOf({ task, controlnet, adapter }: ControlCase): string {
  const name = `diffusers' \`StableDiffusionXL${controlnet ? "ControlNet" : ""}${tasks[task].suffix}\``;
  return adapter === null ? name : `${name}, \`load_ip_adapter\``;
}

function settingOf(each: ControlCase): string {
  const { task, adapter, controlnet, control_guidance_start: start, control_guidance_end: end } = each;
  const adapters = { base: "IP-Adapter", plus: "IP-Adapter Plus" };
  const parts = [
    tasks[task].name,
    ...(controlnet ? [`ControlNet ${each.controlnet_conditioning_scale}`] : []),
    ...(start > 0 || end < 1 ? [`from ${start} to ${end} of the run`] : []),
    ...(each.guess_mode ? ["guess mode"] : []),
    ...(adapter === null ? [] : [`${adapters[adapter]} ${each.ip_adapter_scale}`]),
    `${each.width} × ${each.height}`,
    ...(task === "txt2img" ? [] : [`strength ${each.strength}`]),
    ...(each.guidance_scale > 1 ? [] : ["without guidance"]),
    ...(each.num_images > 1 ? [`${each.num_images} images`] : []),
    ...(each.scheduler === null ? [] : [`\`${each.scheduler}\``]),
  ];
  return parts.join(", ");
}
