import { cpSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { maskOf } from "#pipelines/images/mask.ts";
import type { RgbImage } from "#pipelines/images/rgb.ts";
import { toRgbImage } from "#pipelines/images/rgb.ts";
import { maxDifference } from "#pipelines/testing/compare.ts";
import { type FixtureTensor, readSafetensors } from "#pipelines/testing/safetensors.ts";
import { copyTinySdxl, patchJson } from "#pipelines/testing/tiny-sdxl.ts";
import { SdxlPipeline } from "../pipeline.ts";
import type { SdxlReference, SdxlRequest } from "../request.ts";

const fixtures = new URL("../fixtures/pictures/", import.meta.url);

const pictureCase = z.object({
  name: z.string(),
  task: z.enum(["img2img", "inpaint"]),
  /** The folder whose UNet runs; all else is that of `random-sdxl`. */
  model: z.string(),
  strength: z.number(),
  steps: z.int(),
  prompt: z.string(),
  negative_prompt: z.string().nullable(),
  width: z.int(),
  height: z.int(),
  guidance_scale: z.number(),
  seed: z.int(),
  num_images: z.int(),
  scheduler: z.string().nullable(),
  vae_overrides: z.record(z.string(), z.unknown()),
});

export type PictureCase = z.output<typeof pictureCase>;

/** Pictures from pictures that diffusers has made, with the settings of each. */
export const pictureCases: readonly PictureCase[] = z
  .array(pictureCase)
  .parse(JSON.parse(readFileSync(new URL("cases.json", fixtures), "utf8")));

const expected = readSafetensors(new URL("expected.safetensors", fixtures));

/** The picture of a size that the references begin with. */
export function pictureOf(width: number, height: number): RgbImage {
  return { data: Uint8ClampedArray.from(tensorAt(`${width}x${height}/picture`).data), width, height };
}

/** The picture of a size that is white where references are drawn anew. */
export function maskPictureOf(width: number, height: number): RgbImage {
  const grey = tensorAt(`${width}x${height}/mask`).data;
  return {
    data: new Uint8ClampedArray(grey.length * 3).map((_, index) => grey[Math.floor(index / 3)] ?? 0),
    width,
    height,
  };
}

/** A model folder with another UNet; whoever takes it removes it. */
export function copyWithUnet(model: string): string {
  const folder = copyTinySdxl();
  if (model !== "random-sdxl") {
    rmSync(join(folder, "unet"), { recursive: true });
    cpSync(fileURLToPath(new URL(model, fixtures)), folder, { recursive: true });
  }
  return folder;
}

export interface PictureDifferences {
  /** Of the latents, by the stage's name: those that the run begins with, and those after each step. */
  readonly latents: Readonly<Record<string, number>>;
  /** In levels of 8 bits, of every second pixel and row, before anything is laid over the pictures. */
  readonly pixels: number;
}

/** Draws what diffusers has drawn, and returns how far each stage is from it; infinity for one that is missing. */
export async function runPictureCase(reference: PictureCase): Promise<PictureDifferences> {
  const folder = copyWithUnet(reference.model);
  patchJson(join(folder, "vae_decoder/config.json"), reference.vae_overrides);
  const pipeline = await SdxlPipeline.load(folder, { executionProvider: "cpu" });
  try {
    return await differencesOf(pipeline, reference);
  } finally {
    await pipeline.dispose();
    rmSync(folder, { recursive: true });
  }
}

async function differencesOf(pipeline: SdxlPipeline, reference: PictureCase): Promise<PictureDifferences> {
  const made = new Map<string, Float32Array>();
  const decoded: number[] = [];
  await pipeline.generate(requestOf(reference), {
    onStage(stage) {
      if (stage.name === "prepared") made.set("latents", stage.latents.data.slice());
      if (stage.name === "step") made.set(`step_${stage.step - 1}.latents`, stage.latents.data.slice());
      if (stage.name === "decoded") decoded.push(...everySecond(toRgbImage(stage.image)));
    },
  });
  const stages = [...expected.keys()].filter((key) => key.startsWith(`${reference.name}/`) && key.endsWith("latents"));
  const latents = stages.map((key) => {
    const name = key.slice(reference.name.length + 1);
    return [name, maxDifference(made.get(name) ?? [], tensorAt(key).data)] as const;
  });
  const hasAll = stages.length > 1 && stages.length === made.size;
  return {
    latents: hasAll ? Object.fromEntries(latents) : { "number of stages": Infinity },
    pixels: maxDifference(decoded, tensorAt(`${reference.name}/image_u8`).data),
  };
}

/** Every second pixel of every second row. */
function everySecond({ data, width }: RgbImage): number[] {
  return [...data].filter((_, index) => {
    const pixel = Math.floor(index / 3);
    return (pixel % width) % 2 === 0 && Math.floor(pixel / width) % 2 === 0;
  });
}

function requestOf(reference: PictureCase): SdxlRequest {
  const { width, height } = reference;
  const picture: SdxlReference = {
    image: pictureOf(width, height),
    strength: reference.strength,
    mask: reference.task === "inpaint" ? maskOf(maskPictureOf(width, height)) : undefined,
  };
  return {
    prompt: reference.prompt,
    negativePrompt: reference.negative_prompt ?? undefined,
    width,
    height,
    numInferenceSteps: reference.steps,
    guidanceScale: reference.guidance_scale,
    scheduler: reference.scheduler ?? undefined,
    seeds: Array.from({ length: reference.num_images }, (_, index) => reference.seed + index),
    reference: picture,
  };
}

function tensorAt(key: string): FixtureTensor {
  const found = expected.get(key);
  if (found === undefined) throw new RangeError(`expected.safetensors has no ${key}`);
  return found;
}
