import { cpSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { maxDifference } from "#pipelines/testing/compare.ts";
import { readSafetensors } from "#pipelines/testing/safetensors.ts";
import { copyTinySdxl } from "#pipelines/testing/tiny-sdxl.ts";
import { SdxlPipeline } from "../pipeline.ts";
import { pictureOf } from "./picture-cases.ts";

const fixtures = new URL("../fixtures/refiner/", import.meta.url);
const size = 64;

const refinerCase = z.object({
  name: z.string(),
  task: z.enum(["handover", "handover-img2img", "refiner", "lcm", "lcm-img2img"]),
  steps: z.int(),
  denoising_end: z.number().nullable(),
  strength: z.number().nullable(),
  prompt: z.string(),
  negative_prompt: z.string().nullable(),
  guidance_scale: z.number(),
  seed: z.int(),
  num_images: z.int(),
  scheduler: z.string().nullable(),
  aesthetic_score: z.number(),
  negative_aesthetic_score: z.number(),
});

export type RefinerCase = z.output<typeof refinerCase>;

/** What diffusers has drawn with a refiner, or with a UNet that is shown its guidance. */
export const refinerCases: readonly RefinerCase[] = z
  .array(refinerCase)
  .parse(JSON.parse(readFileSync(new URL("cases.json", fixtures), "utf8")));

const expected = readSafetensors(new URL("expected.safetensors", fixtures));

/** Where diffusers cuts the timesteps of a run: `[steps, share, end, start]`. */
export const cuts = z
  .array(
    z.object({
      scheduler: z.string(),
      config: z.record(z.string(), z.unknown()),
      cuts: z.array(z.tuple([z.int(), z.number(), z.int(), z.int()])),
    }),
  )
  .parse(JSON.parse(readFileSync(new URL("cuts.json", fixtures), "utf8")));

export type RefinerModel = "handover" | "refiner" | "lcm";

export function modelOf({ task }: RefinerCase): RefinerModel {
  if (task === "refiner") return "refiner";
  return task.startsWith("lcm") ? "lcm" : "handover";
}

const fixture = (path: string) => fileURLToPath(new URL(path, fixtures));

/** A model folder; whoever takes it removes it. */
export function copyRefinerModel(model: RefinerModel): string {
  const folder = copyTinySdxl();
  if (model === "handover") {
    cpSync(fixture("refiner"), join(folder, "refiner"), { recursive: true });
    return folder;
  }
  const replaced = model === "refiner" ? ["unet", "text_encoder", "tokenizer"] : ["unet"];
  for (const part of replaced) rmSync(join(folder, part), { recursive: true });
  cpSync(fixture(model), folder, { recursive: true });
  return folder;
}

/** Pipelines of the cases, each loaded once. */
export class RefinerModels {
  readonly #loaded = new Map<RefinerModel, { readonly folder: string; readonly pipeline: SdxlPipeline }>();

  async get(model: RefinerModel): Promise<SdxlPipeline> {
    const known = this.#loaded.get(model)?.pipeline;
    if (known !== undefined) return known;
    const folder = copyRefinerModel(model);
    const pipeline = await SdxlPipeline.load(folder, { executionProvider: "cpu" });
    this.#loaded.set(model, { folder, pipeline });
    return pipeline;
  }

  async dispose(): Promise<void> {
    for (const { folder, pipeline } of this.#loaded.values()) {
      await pipeline.dispose();
      rmSync(folder, { recursive: true });
    }
  }
}

/** The largest difference of the latents after any step; infinity when another number of steps was run. */
export async function refinerDifference(models: RefinerModels, reference: RefinerCase): Promise<number> {
  const pipeline = await models.get(modelOf(reference));
  const made: Float32Array[] = [];
  await pipeline.generate(
    {
      prompt: reference.prompt,
      negativePrompt: reference.negative_prompt ?? undefined,
      width: size,
      height: size,
      numInferenceSteps: reference.steps,
      guidanceScale: reference.guidance_scale,
      scheduler: reference.scheduler ?? undefined,
      seeds: Array.from({ length: reference.num_images }, (_, index) => reference.seed + index),
      denoisingEnd: reference.denoising_end ?? undefined,
      ...(modelOf(reference) === "lcm"
        ? {}
        : { aestheticScore: reference.aesthetic_score, negativeAestheticScore: reference.negative_aesthetic_score }),
      reference:
        reference.strength === null ? undefined : { image: pictureOf(size, size), strength: reference.strength },
    },
    {
      onStage: (stage) => {
        if (stage.name === "step") made.push(stage.latents.data.slice());
      },
    },
  );
  const count = [...expected.keys()].filter((key) => key.startsWith(`${reference.name}/`)).length;
  if (made.length !== count) return Infinity;
  return Math.max(
    ...made.map((latents, step) => maxDifference(latents, expected.get(`${reference.name}/step_${step}`)?.data ?? [])),
  );
}
