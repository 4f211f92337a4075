import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { z } from "zod";
import { maskOf } from "#pipelines/images/mask.ts";
import type { RgbImage } from "#pipelines/images/rgb.ts";
import { maxDifference } from "#pipelines/testing/compare.ts";
import { type FixtureTensor, readSafetensors } from "#pipelines/testing/safetensors.ts";
import { copyTinySdxl } from "#pipelines/testing/tiny-sdxl.ts";
import { SdxlPipeline } from "../pipeline.ts";
import type { SdxlRequest } from "../request.ts";
import { maskPictureOf, pictureOf } from "./picture-cases.ts";

const fixtures = new URL("../fixtures/control/", import.meta.url);

const controlCase = z.object({
  name: z.string(),
  task: z.enum(["txt2img", "img2img", "inpaint"]),
  controlnet: z.boolean(),
  adapter: z.enum(["base", "plus"]).nullable(),
  steps: z.int(),
  strength: z.number(),
  guidance_scale: z.number(),
  controlnet_conditioning_scale: z.number(),
  control_guidance_start: z.number(),
  control_guidance_end: z.number(),
  guess_mode: z.boolean(),
  ip_adapter_scale: z.number(),
  prompt: z.string(),
  negative_prompt: z.string().nullable(),
  width: z.int(),
  height: z.int(),
  seed: z.int(),
  num_images: z.int(),
  scheduler: z.string().nullable(),
});

export type ControlCase = z.output<typeof controlCase>;

/** What diffusers has drawn with a ControlNet, an IP-Adapter or both, with the settings of each. */
export const controlCases: readonly ControlCase[] = z
  .array(controlCase)
  .parse(JSON.parse(readFileSync(new URL("cases.json", fixtures), "utf8")));

const expected = readSafetensors(new URL("expected.safetensors", fixtures));

/** Pictures that the image encoder was shown, by index. */
export const lookCount = [...expected.keys()].filter((key) => key.endsWith("/pixel_values")).length;

export function lookOf(index: number): {
  readonly picture: RgbImage;
  readonly pixelValues: FixtureTensor;
  readonly imageEmbeds: FixtureTensor;
} {
  const { data, dims } = tensorAt(`look_${index}/picture`);
  const [height = 0, width = 0] = dims;
  return {
    picture: { data: Uint8ClampedArray.from(data), width, height },
    pixelValues: tensorAt(`look_${index}/pixel_values`),
    imageEmbeds: tensorAt(`look_${index}/image_embeds`),
  };
}

/** White lines on black. */
export function controlPictureOf(width: number, height: number): RgbImage {
  const lines = tensorAt(`${width}x${height}/lines`).data;
  return {
    data: Uint8ClampedArray.from({ length: 3 * lines.length }, (_, index) => lines[Math.floor(index / 3)] ?? 0),
    width,
    height,
  };
}

/**
 * The tests' own model with a smaller UNet and what that draws by beside a prompt; whoever takes it removes it.
 * @param kind `base`: a ControlNet for `canny` and an IP-Adapter that reads one embedding; `plus`: one that reads hidden states
 */
export function copyWithConditions(kind: "base" | "plus"): string {
  const folder = copyTinySdxl();
  rmSync(join(folder, "unet"), { recursive: true });
  const source = kind === "base" ? "random-sdxl-control" : "random-sdxl-plus";
  cpSync(fileURLToPath(new URL(source, fixtures)), folder, { recursive: true });
  for (const file of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    if (!file.endsWith(".onnx.gz")) continue;
    const packed = join(folder, file);
    writeFileSync(packed.slice(0, -".gz".length), gunzipSync(readFileSync(packed)));
    rmSync(packed);
  }
  return folder;
}

/** Draws what diffusers has drawn, and returns how far the latents of each stage are from it; infinity for one that is missing. */
export async function runControlCase(
  pipeline: SdxlPipeline,
  reference: ControlCase,
): Promise<Readonly<Record<string, number>>> {
  const made = new Map<string, Float32Array>();
  await pipeline.generate(requestOf(reference), {
    onStage(stage) {
      if (stage.name === "prepared") made.set("latents", stage.latents.data.slice());
      if (stage.name === "step") made.set(`step_${stage.step - 1}.latents`, stage.latents.data.slice());
    },
  });
  const stages = [...expected.keys()].filter((key) => key.startsWith(`${reference.name}/`));
  if (stages.length < 2 || stages.length !== made.size) return { "number of stages": Infinity };
  return Object.fromEntries(
    stages.map((key) => {
      const name = key.slice(reference.name.length + 1);
      return [name, maxDifference(made.get(name) ?? [], tensorAt(key).data)] as const;
    }),
  );
}

/** Loads the model of each kind once, and gives both back at the end. */
export async function withControlPipelines<Value>(
  use: (pipelineOf: (reference: ControlCase) => Promise<SdxlPipeline>) => Promise<Value>,
): Promise<Value> {
  const loaded = new Map<string, { readonly pipeline: SdxlPipeline; readonly folder: string }>();
  try {
    return await use(async ({ adapter }) => {
      const kind = adapter ?? "base";
      const known = loaded.get(kind);
      if (known !== undefined) return known.pipeline;
      const folder = copyWithConditions(kind);
      const pipeline = await SdxlPipeline.load(folder, { executionProvider: "cpu" });
      loaded.set(kind, { pipeline, folder });
      return pipeline;
    });
  } finally {
    for (const { pipeline, folder } of loaded.values()) {
      await pipeline.dispose();
      rmSync(folder, { recursive: true });
    }
  }
}

export function requestOf(reference: ControlCase): SdxlRequest {
  const { width, height, task } = reference;
  const mask = task === "inpaint" ? maskOf(maskPictureOf(width, height)) : undefined;
  return {
    prompt: reference.prompt,
    negativePrompt: reference.negative_prompt ?? undefined,
    width,
    height,
    numInferenceSteps: reference.steps,
    guidanceScale: reference.guidance_scale,
    scheduler: reference.scheduler ?? undefined,
    seeds: Array.from({ length: reference.num_images }, (_, index) => reference.seed + index),
    reference: task === "txt2img" ? undefined : { image: pictureOf(width, height), strength: reference.strength, mask },
    control: reference.controlnet
      ? {
          name: "canny",
          picture: controlPictureOf(width, height),
          scale: reference.controlnet_conditioning_scale,
          start: reference.control_guidance_start,
          end: reference.control_guidance_end,
          guessMode: reference.guess_mode,
        }
      : undefined,
    imagePrompt:
      reference.adapter === null ? undefined : { picture: lookOf(0).picture, scale: reference.ip_adapter_scale },
  };
}

function tensorAt(key: string): FixtureTensor {
  const found = expected.get(key);
  if (found === undefined) throw new RangeError(`expected.safetensors has no ${key}`);
  return found;
}
