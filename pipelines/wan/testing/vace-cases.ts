import { cpSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import type { RgbImage } from "#pipelines/images/rgb.ts";
import { maxDifference } from "#pipelines/testing/compare.ts";
import { formulaPicture } from "#pipelines/testing/formula-picture.ts";
import { copyRandomWan } from "#pipelines/testing/random-wan.ts";
import { readSafetensors } from "#pipelines/testing/safetensors.ts";
import type { VaceCondition } from "../condition.ts";
import { WanPipeline, type WanRequest } from "../pipeline.ts";
import { knownFrames } from "../vace/guide.ts";

const fixtures = new URL("../fixtures/vace/", import.meta.url);

/** The random WAN whose text encoder and VAE each model shares. */
const beside = { vace: "random-wan", "vace-2": "random-wan", "vace-other": "random-wan-other" } as const;

export type VaceModel = keyof typeof beside;

const vaceCase = z.object({
  name: z.string(),
  prompt: z.string(),
  model: z.enum(["vace", "vace-2", "vace-other"]),
  negative_prompt: z.string().nullable(),
  width: z.int(),
  height: z.int(),
  frames: z.int(),
  steps: z.int(),
  guidance_scale: z.number(),
  guidance_scale_2: z.number().nullable(),
  video: z.int(),
  mask: z.enum(["disc", "hard"]).nullable(),
  known: z.array(z.int()),
  references: z.array(z.tuple([z.int(), z.int()])),
  scale: z.union([z.number(), z.array(z.number())]),
  seed: z.int(),
});

export type VaceCase = z.output<typeof vaceCase>;

/** What diffusers' `WanVACEPipeline` has drawn; `tools/reference/vace_cases.py` has them. */
export const vaceCases: readonly VaceCase[] = z
  .array(vaceCase)
  .parse(JSON.parse(readFileSync(new URL("cases.json", fixtures), "utf8")));

const expected = readSafetensors(new URL("expected.safetensors", fixtures));

/** A model folder; whoever takes it removes it. */
export function copyVaceModel(name: VaceModel): string {
  const folder = copyRandomWan(beside[name]);
  rmSync(join(folder, "transformer"), { recursive: true });
  cpSync(fileURLToPath(new URL(name, fixtures)), folder, { recursive: true });
  return folder;
}

/** Pipelines of the cases, each loaded once. */
export class VaceModels {
  readonly #loaded = new Map<VaceModel, { readonly folder: string; readonly pipeline: WanPipeline }>();

  async get(name: VaceModel): Promise<WanPipeline> {
    const known = this.#loaded.get(name)?.pipeline;
    if (known !== undefined) return known;
    const folder = copyVaceModel(name);
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

/** A mask by a formula, as `mask_values` in `tools/reference/vace_cases.py`. */
export function formulaMask(kind: "disc" | "hard", width: number, height: number, number: number): RgbImage {
  const data = new Uint8ClampedArray(3 * width * height);
  for (let pixel = 0; pixel < width * height; pixel++) {
    const [x, y] = [pixel % width, Math.floor(pixel / width)];
    const distance = (x - Math.floor(width / 3) - number) ** 2 + (y - Math.floor(height / 2)) ** 2;
    const value = kind === "disc" ? 330 - 2 * distance : (x + 2 * y + 3 * number) % 23 < 9 ? 255 : 0;
    data.fill(Math.min(Math.max(value, 0), 255), 3 * pixel, 3 * pixel + 3);
  }
  return { data, width, height };
}

/** Pictures made one after another, as they are taken. */
export function* pictures(count: number, make: (index: number) => RgbImage): Generator<RgbImage> {
  for (let index = 0; index < count; index++) yield make(index);
}

function conditionOf({ width, height, frames, video, mask, known, references, scale }: VaceCase): VaceCondition {
  const picture = (number: number) => formulaPicture(width, height, number);
  const [first, last] = known.map(picture);
  return {
    kind: "vace",
    video: video === 0 ? undefined : pictures(video, picture),
    mask: mask === null ? undefined : pictures(video, (number) => formulaMask(mask, width, height, number)),
    ...(known.length > 0 ? knownFrames({ first, last }, frames) : {}),
    references: references.map(([wide, high], index) => formulaPicture(wide, high, 40 + index)),
    scale,
  };
}

export function requestOf(reference: VaceCase): WanRequest {
  return {
    prompt: reference.prompt,
    negativePrompt: reference.negative_prompt ?? undefined,
    width: reference.width,
    height: reference.height,
    frames: reference.frames,
    numInferenceSteps: reference.steps,
    guidanceScale: reference.guidance_scale,
    guidanceScale2: reference.guidance_scale_2 ?? undefined,
    seed: reference.seed,
    condition: conditionOf(reference),
  };
}

/** How far a run is from the reference. */
export interface VaceDifference {
  /** Of the control that the transformer reads: latents and mask. */
  readonly control: number;
  /** Of predictions and latents at any step; infinite when another number of steps was run. */
  readonly steps: number;
  /** Of 8-bit values of the frames: the largest difference, and the share of values that differ. */
  readonly pixels: number;
  readonly pixelsOff: number;
}

export async function vaceDifference(models: VaceModels, reference: VaceCase): Promise<VaceDifference> {
  const pipeline = await models.get(reference.model);
  const made = new Map<string, ArrayLike<number>>();
  const pixels: number[] = [];
  await pipeline.generate(
    requestOf(reference),
    async ({ data }) => {
      for (const value of data) pixels.push(value);
    },
    {
      onStage(stage) {
        if (stage.name === "conditioned") {
          made.set("control", stage.conditioning.inputs?.control_hidden_states?.data.slice() ?? []);
        }
        if (stage.name !== "step") return;
        made.set(`step_${stage.step - 1}.noise_pred`, stage.noisePrediction.data.slice());
        made.set(`step_${stage.step - 1}.latents`, stage.latents.data.slice());
      },
    },
  );
  const find = (name: string) => expected.get(`${reference.name}/${name}`)?.data ?? [];
  const stages = [...expected.keys()].filter((key) => key.startsWith(`${reference.name}/step_`)).length;
  const differences = [...made].filter(([name]) => name.startsWith("step_"));
  const frames = find("frames_u8");
  return {
    control: maxDifference(made.get("control") ?? [], find("control")),
    steps:
      differences.length === stages
        ? Math.max(...differences.map(([name, values]) => maxDifference(values, find(name))))
        : Number.POSITIVE_INFINITY,
    pixels: maxDifference(pixels, frames),
    pixelsOff: pixels.filter((value, index) => value !== frames[index]).length / pixels.length,
  };
}
