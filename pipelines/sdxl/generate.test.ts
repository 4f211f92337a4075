import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { maxDifference } from "#pipelines/testing/compare.ts";
import { copyTinySdxl, patchJson, tinySdxl } from "#pipelines/testing/tiny-sdxl.ts";
import type { PromptEmbeddings } from "./encode-prompt.ts";
import { SdxlPipeline } from "./pipeline.ts";
import type { SdxlRequest, SdxlStage } from "./request.ts";

const request: SdxlRequest = {
  prompt: "a mountain lake at sunrise",
  negativePrompt: "blurry",
  width: 64,
  height: 64,
  numInferenceSteps: 4,
  guidanceScale: 6,
  seeds: [7],
};

let pipeline: SdxlPipeline;
beforeAll(async () => {
  pipeline = await SdxlPipeline.load(tinySdxl, { executionProvider: "cpu" });
});
afterAll(() => pipeline.dispose());

/** Runs and keeps the prompt embeddings and the decoded pictures. */
async function collect(changes: Partial<SdxlRequest>) {
  const decoded: Float32Array[] = [];
  let embeddings: PromptEmbeddings | undefined;
  const onStage = (stage: SdxlStage) => {
    if (stage.name === "encoded") embeddings = stage.embeddings;
    if (stage.name === "decoded") decoded.push(stage.image.data.slice());
  };
  const result = await pipeline.generate({ ...request, ...changes }, { onStage });
  if (embeddings === undefined) throw new Error("no embeddings were reported");
  return { ...result, decoded, embeddings };
}

describe("a batch", () => {
  it("of three equals three runs of one with the same seeds", async () => {
    const batch = await collect({ seeds: [7, 8, 9] });
    for (const [index, seed] of [7, 8, 9].entries()) {
      const single = await collect({ seeds: [seed] });
      expect(maxDifference(batch.decoded[index] ?? [], single.decoded[0] ?? [])).toBeLessThan(1e-4);
    }
    expect(maxDifference(batch.decoded[0] ?? [], batch.decoded[1] ?? [])).toBeGreaterThan(0.1);
  });

  it("that exceeds the bound on pixels is computed in parts, and equals the whole", async () => {
    const inParts = await SdxlPipeline.load(tinySdxl, { executionProvider: "cpu", pixelsPerPart: 2 * 64 * 64 });
    const progress: string[] = [];
    const decoded: Float32Array[] = [];
    await inParts.generate(
      { ...request, seeds: [7, 8, 9] },
      {
        onProgress: (step, total) => {
          progress.push(`${step}/${total}`);
        },
        onStage: (stage) => {
          if (stage.name === "decoded") decoded[stage.index] = stage.image.data.slice();
        },
      },
    );
    await inParts.dispose();
    // Two images at once, then one: progress counts in steps of the whole job.
    expect(progress).toEqual(["0/4", "1/4", "2/4", "2/4", "3/4", "3/4", "3/4", "4/4"]);
    const whole = await collect({ seeds: [7, 8, 9] });
    for (const [index, image] of whole.decoded.entries()) {
      expect(maxDifference(decoded[index] ?? [], image)).toBeLessThan(1e-4);
    }
  });
});

describe("cancel", () => {
  it("stops before the next step", async () => {
    const controller = new AbortController();
    const steps: number[] = [];
    const run = pipeline.generate(
      { ...request, numInferenceSteps: 20 },
      {
        signal: controller.signal,
        onProgress: (step) => {
          steps.push(step);
          if (step === 3) controller.abort(new Error("cancelled by the user"));
        },
      },
    );
    await expect(run).rejects.toThrow("cancelled by the user");
    expect(steps).toEqual([1, 2, 3]);
  });

  it("that comes as a message is heard between two steps", async () => {
    const controller = new AbortController();
    const steps: number[] = [];
    const run = pipeline.generate(
      { ...request, numInferenceSteps: 50 },
      {
        signal: controller.signal,
        onProgress: (step) => {
          steps.push(step);
          if (step === 2) setImmediate(() => controller.abort(new Error("a message came in")));
        },
      },
    );
    await expect(run).rejects.toThrow("a message came in");
    expect(steps.length).toBeLessThanOrEqual(3);
  });

  it("before the start computes nothing", async () => {
    const before = pipeline.millisecondsInRun;
    const signal = AbortSignal.abort(new Error("too late"));
    await expect(pipeline.generate(request, { signal })).rejects.toThrow("too late");
    expect(pipeline.millisecondsInRun).toBe(before);
  });
});

describe("prompts", () => {
  it("of more than 75 tokens are encoded in chunks that begin with the short prompt's", async () => {
    const words = Array.from({ length: 100 }, (_, index) => (index % 2 ? "blue" : "lake"));
    const long = await collect({ prompt: words.join(" "), negativePrompt: "blurry" });
    expect(long).toMatchObject({ promptTokens: 100, negativePromptTokens: 1, chunks: 2 });
    expect(long.embeddings.positive.hidden.dims).toEqual([1, 154, 64]);
    expect(long.embeddings.negative?.hidden.dims).toEqual([1, 154, 64]);

    const first = await collect({ prompt: words.slice(0, 75).join(" ") });
    const rest = await collect({ prompt: words.slice(75).join(" ") });
    const { hidden, pooled } = long.embeddings.positive;
    const half = hidden.data.length / 2;
    expect(maxDifference(hidden.data.subarray(0, half), first.embeddings.positive.hidden.data)).toBeLessThan(1e-5);
    expect(maxDifference(hidden.data.subarray(half), rest.embeddings.positive.hidden.data)).toBeLessThan(1e-5);
    expect(maxDifference(pooled.data, first.embeddings.positive.pooled.data)).toBeLessThan(1e-5);
  });

  it("pad the negative prompt with the chunk of an empty text", async () => {
    const long = await collect({ prompt: "lake ".repeat(80) });
    const empty = await collect({ prompt: "" });
    const negative = long.embeddings.negative?.hidden.data ?? new Float32Array();
    const padding = negative.subarray(negative.length / 2);
    expect(maxDifference(padding, empty.embeddings.positive.hidden.data)).toBeLessThan(1e-5);
  });

  it("without a negative one are guided away from zeros, with an empty one from its embedding", async () => {
    const absent = await collect({ negativePrompt: undefined });
    expect(absent.embeddings.negative?.hidden.data.every((value) => value === 0)).toBe(true);
    expect(absent.embeddings.negative?.pooled.data.every((value) => value === 0)).toBe(true);
    const empty = await collect({ negativePrompt: "" });
    expect(empty.embeddings.negative?.hidden.data.some((value) => value !== 0)).toBe(true);
  });

  it("need no negative half without guidance", async () => {
    const { embeddings } = await collect({ guidanceScale: 1 });
    expect(embeddings.negative).toBeUndefined();
  });

  it("refuse to skip more layers than the encoders have", async () => {
    await expect(collect({ clipSkip: 4 })).rejects.toMatchObject({
      code: "INVALID_JOB",
      message: "clip_skip must be at most 3 for this model, not 4",
    });
  });
});

describe("schedulers", () => {
  it.each(["euler_a", "dpm++_2m_sde", "dpm2_a", "lcm"])(
    "%s draws three images of a batch as it draws each alone",
    async (scheduler) => {
      const batch = await collect({ scheduler, seeds: [7, 8, 9] });
      for (const [index, seed] of [7, 8, 9].entries()) {
        const single = await collect({ scheduler, seeds: [seed] });
        expect(maxDifference(batch.decoded[index] ?? [], single.decoded[0] ?? [])).toBeLessThan(1e-4);
      }
    },
  );

  it("report their progress in steps, however often they call the model", async () => {
    const progress: string[] = [];
    const onProgress = (step: number, total: number) => progress.push(`${step}/${total}`);
    await pipeline.generate({ ...request, scheduler: "heun", numInferenceSteps: 3 }, { onProgress });
    expect(progress).toEqual(["0/3", "1/3", "1/3", "2/3", "3/3"]);
  });

  it("take eta where they have one", async () => {
    const [none, zero, some] = await Promise.all([undefined, 0, 0.5].map((eta) => collect({ scheduler: "ddim", eta })));
    expect(zero?.decoded).toEqual(none?.decoded);
    expect(some?.decoded).not.toEqual(none?.decoded);
  });

  it("draw other pictures from a GPU's numbers", async () => {
    const [cpu, same, cuda] = await Promise.all(
      ([undefined, "cpu", "cuda"] as const).map((noise) => collect({ noise })),
    );
    expect(same?.decoded).toEqual(cpu?.decoded);
    expect(cuda?.decoded).not.toEqual(cpu?.decoded);
  });
});

describe("settings", () => {
  it("choose another scheduler by name, and refuse one that is not there", async () => {
    expect((await collect({ scheduler: "euler" })).scheduler).toBe("EulerDiscreteScheduler");
    await expect(collect({ scheduler: "restart" })).rejects.toMatchObject({
      code: "UNSUPPORTED_OPTION",
      message: expect.stringContaining('unknown scheduler "restart"; there are: euler'),
    });
  });

  it("refuse a size that the VAE cannot make", async () => {
    await expect(collect({ width: 100 })).rejects.toMatchObject({
      code: "INVALID_JOB",
      message: "width and height must be multiples of 8, not 100×64",
    });
  });

  it("that overflow fail with the step, not with a black picture", async () => {
    await expect(collect({ guidanceScale: 1e39 })).rejects.toMatchObject({
      code: "NUMERICAL_ERROR",
      message: expect.stringContaining("NaN or infinity in the model's prediction in step 1 of 4"),
    });
  });
});

describe("previews", () => {
  it("are small WebP pictures, reported with a later step", async () => {
    const previews: Uint8Array[] = [];
    await pipeline.generate(
      { ...request, width: 256, height: 128, numInferenceSteps: 30 },
      {
        onProgress: (_step, _total, preview) => {
          if (preview !== undefined) previews.push(preview);
        },
      },
    );
    expect(previews.length).toBeGreaterThan(0);
    expect(previews.length).toBeLessThanOrEqual(7);
    for (const preview of previews) {
      expect(preview.length).toBeLessThanOrEqual(64 * 1024);
      expect(Buffer.from(preview).toString("latin1", 8, 12)).toBe("WEBP");
    }
  });

  it("are left out for latents of another kind", async () => {
    const folder = copyTinySdxl();
    patchJson(join(folder, "vae_decoder/config.json"), { scaling_factor: 0.5 });
    const other = await SdxlPipeline.load(folder, { executionProvider: "cpu" });
    const previews: unknown[] = [];
    const onProgress = (_step: number, _total: number, preview: unknown) => {
      previews.push(preview);
    };
    await other.generate({ ...request, numInferenceSteps: 30 }, { onProgress });
    expect(new Set(previews)).toEqual(new Set([undefined]));
    await other.dispose();
    rmSync(folder, { recursive: true });
  });
});
