import { readFileSync, rmSync } from "node:fs";
import { z } from "zod";
import { concat } from "#pipelines/core/tensor.ts";
import { clipPixels } from "#pipelines/images/clip-pixels.ts";
import type { RgbImage } from "#pipelines/images/rgb.ts";
import { maxDifference } from "#pipelines/testing/compare.ts";
import { formulaPicture } from "#pipelines/testing/formula-picture.ts";
import { copyImageWan, type ImageWan } from "#pipelines/testing/random-wan.ts";
import { readSafetensors } from "#pipelines/testing/safetensors.ts";
import { WanPipeline, type WanRequest, type WanStage } from "../pipeline.ts";

const fixtures = new URL("../fixtures/i2v/", import.meta.url);

const imageCase = z.object({
  name: z.string(),
  model: z.enum(["i2v", "flf2v", "i2v-2", "i2v-other", "ti2v"]),
  prompt: z.string(),
  negative_prompt: z.string().nullable(),
  width: z.int(),
  height: z.int(),
  frames: z.int(),
  steps: z.int(),
  guidance_scale: z.number(),
  guidance_scale_2: z.number().nullable(),
  flow_shift: z.number().nullable(),
  scheduler: z.string().nullable(),
  first: z.int().nullable(),
  last: z.int().nullable(),
  seed: z.int(),
});

export type ImageCase = z.output<typeof imageCase>;

/** What diffusers' `WanImageToVideoPipeline` has drawn; `tools/reference/i2v_cases.py` has them. */
export const imageCases: readonly ImageCase[] = z
  .array(imageCase)
  .parse(JSON.parse(readFileSync(new URL("cases.json", fixtures), "utf8")));

const expectedValues = readSafetensors(new URL("expected.safetensors", fixtures));

/** Pipelines of the models, each loaded once. */
export class ImageModels {
  readonly #loaded = new Map<ImageWan, { readonly folder: string; readonly pipeline: WanPipeline }>();

  async get(name: ImageWan): Promise<WanPipeline> {
    const known = this.#loaded.get(name)?.pipeline;
    if (known !== undefined) return known;
    const folder = copyImageWan(name);
    const pipeline = await WanPipeline.load(folder, { executionProvider: "cpu" });
    this.#loaded.set(name, { folder, pipeline });
    return pipeline;
  }

  async dispose(): Promise<void> {
    for (const { folder, pipeline } of this.#loaded.values()) {
      await pipeline.dispose();
      rmSync(folder, { recursive: true });
    }
  }
}

/** Runs, and keeps what the stages made under the names of the reference file. */
export async function collectClip(used: WanPipeline, request: WanRequest) {
  const values = new Map<string, ArrayLike<number>>();
  const frames: RgbImage[] = [];
  const onStage = (stage: WanStage) => {
    if (stage.name === "conditioned") {
      const { channels, inputs, firstFrame } = stage.conditioning;
      values.set("condition", (channels ?? firstFrame)?.data.slice() ?? []);
      const features = inputs?.encoder_hidden_states_image;
      if (features !== undefined) values.set("image_embeds", features.data.slice());
    }
    if (stage.name === "step") {
      values.set(`step_${stage.step - 1}.noise_pred`, stage.noisePrediction.data.slice());
      values.set(`step_${stage.step - 1}.latents`, stage.latents.data.slice());
    }
  };
  await used.generate(request, async (frame) => void frames.push(frame), { onStage });
  return { values, frames };
}

export interface ImageDifference {
  /** Largest difference of CLIP's pixels, of the pictures' features, of mask and given frames, and of predictions and latents. */
  readonly pixelValues: number;
  readonly features: number;
  readonly condition: number;
  readonly steps: number;
  /** Of the frames' 8-bit values: the largest difference, and the share of those that differ. */
  readonly pixels: number;
  readonly pixelsOff: number;
}

/** How far a case is from its reference; infinity where a stage is missing, or one too many. */
export async function imageDifference(models: ImageModels, reference: ImageCase): Promise<ImageDifference> {
  const used = await models.get(reference.model);
  const { values, frames } = await collectClip(used, requestOf(reference));
  const { imageProcessor } = used.model;
  if (imageProcessor !== undefined) {
    const pixels = picturesOf(reference).map((picture) => clipPixels(picture, imageProcessor));
    values.set("pixel_values", concat(pixels, 0).data);
  }
  values.set(
    "frames_u8",
    frames.flatMap(({ data }) => [...data]),
  );
  const prefix = `${reference.name}/`;
  const own = [...expectedValues].filter(([key]) => key.startsWith(prefix));
  const expected = new Map(own.map(([key, { data }]) => [key.slice(prefix.length), data]));
  const differences = new Map(
    [...new Set([...values.keys(), ...expected.keys()])].map((key) => {
      const [actual, wanted] = [values.get(key), expected.get(key)];
      return [key, actual === undefined || wanted === undefined ? Infinity : maxDifference(actual, wanted)];
    }),
  );
  const largest = (pattern: RegExp) =>
    Math.max(0, ...[...differences].filter(([key]) => pattern.test(key)).map(([, difference]) => difference));
  const [pixels, wantedPixels] = [values.get("frames_u8") ?? [], expected.get("frames_u8") ?? []];
  const off = Array.from(pixels).filter((value, index) => value !== wantedPixels[index]).length;
  return {
    pixelValues: largest(/^pixel_values$/),
    features: largest(/^image_embeds$/),
    condition: largest(/^condition$/),
    steps: largest(/^step_/),
    pixels: largest(/^frames_u8$/),
    pixelsOff: off / pixels.length,
  };
}

function picturesOf({ first, last, width, height }: ImageCase): RgbImage[] {
  return [first, last].filter((number) => number !== null).map((number) => formulaPicture(width, height, number));
}

function requestOf(reference: ImageCase): WanRequest {
  const [first, last] = picturesOf(reference);
  return {
    prompt: reference.prompt,
    negativePrompt: reference.negative_prompt ?? undefined,
    width: reference.width,
    height: reference.height,
    frames: reference.frames,
    numInferenceSteps: reference.steps,
    guidanceScale: reference.guidance_scale,
    guidanceScale2: reference.guidance_scale_2 ?? undefined,
    flowShift: reference.flow_shift ?? undefined,
    scheduler: reference.scheduler ?? undefined,
    seed: reference.seed,
    condition: first && { kind: "frames", first, last },
  };
}
