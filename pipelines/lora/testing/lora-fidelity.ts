import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { SdxlPipeline } from "#pipelines/sdxl/pipeline.ts";
import { maxDifference } from "#pipelines/testing/compare.ts";
import type { FidelityArea } from "#pipelines/testing/fidelity.ts";
import { readSafetensors } from "#pipelines/testing/safetensors.ts";
import { tinySdxl } from "#pipelines/testing/tiny-sdxl.ts";
import type { Lora } from "../merged-graph.ts";

const fixtures = new URL("../fixtures/", import.meta.url);

export const loraCases = z
  .object({
    prompt: z.string(),
    negative_prompt: z.string(),
    steps: z.int(),
    seed: z.int(),
    guidance_scale: z.number(),
    cases: z.record(z.string(), z.array(z.object({ name: z.string(), strength: z.number() }))),
  })
  .parse(JSON.parse(readFileSync(new URL("cases.json", fixtures), "utf8")));

const expected = readSafetensors(new URL("expected.safetensors", fixtures));

export function fixtureLora(name: string, strength: number): Lora {
  return { path: fileURLToPath(new URL(`${name}.safetensors`, fixtures)), version: name, strength };
}

/** Draws what the reference drew, with these files merged in: the prompt's embeddings and the last latents. */
export async function drawWith(pipeline: SdxlPipeline, loras: readonly Lora[]) {
  const drawn = { hidden: new Float32Array(), pooled: new Float32Array(), latents: new Float32Array() };
  await pipeline.generate(
    {
      prompt: loraCases.prompt,
      negativePrompt: loraCases.negative_prompt,
      width: 64,
      height: 64,
      numInferenceSteps: loraCases.steps,
      guidanceScale: loraCases.guidance_scale,
      seeds: [loraCases.seed],
      loras,
    },
    {
      onStage(stage) {
        if (stage.name === "encoded") {
          drawn.hidden = stage.embeddings.positive.hidden.data.slice();
          drawn.pooled = stage.embeddings.positive.pooled.data.slice();
        }
        if (stage.name === "step") drawn.latents = stage.latents.data.slice();
      },
    },
  );
  return drawn;
}

/** The largest difference of a case's embeddings and latents. */
export async function loraDifference(pipeline: SdxlPipeline, name: string): Promise<number> {
  const loras = (loraCases.cases[name] ?? []).map((one) => fixtureLora(one.name, one.strength));
  const drawn = await drawWith(pipeline, loras);
  return Math.max(
    ...Object.entries(drawn).map(([part, values]) =>
      maxDifference(values, expected.get(`${name}.${part}`)?.data ?? []),
    ),
  );
}

export const loraFidelity: FidelityArea = {
  title: "LoRA",
  difference:
    "Largest difference of the prompt's embeddings and of the last latents of three guided steps of the random model.",
  cases: Object.keys(loraCases.cases).map((name) => ({
    setting: `${name}`,
    reference: "diffusers' `load_lora_weights`, `fuse_lora`",
    limit: 1e-4,
    async measure() {
      const pipeline = await SdxlPipeline.load(tinySdxl, { executionProvider: "cpu" });
      try {
        return await loraDifference(pipeline, name);
      } finally {
        await pipeline.dispose();
      }
    },
  })),
};
