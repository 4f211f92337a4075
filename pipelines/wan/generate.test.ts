import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CudaGenerator } from "#pipelines/core/random/cuda-generator.ts";
import { TorchGenerator } from "#pipelines/core/random/torch-generator.ts";
import { EmbeddingCache } from "#pipelines/diffusion/embedding-cache.ts";
import type { RgbImage } from "#pipelines/images/rgb.ts";
import { maxDifference, meanDifference } from "#pipelines/testing/compare.ts";
import { randomWans } from "#pipelines/testing/random-wan.ts";
import { readModelFolder } from "./model-folder.ts";
import { type WanHooks, WanPipeline, type WanRequest, type WanSettings, type WanStage } from "./pipeline.ts";

const request: WanRequest = {
  prompt: "a mountain lake at sunrise",
  negativePrompt: "blurry",
  width: 64,
  height: 64,
  frames: 5,
  numInferenceSteps: 4,
  guidanceScale: 5,
  seed: 7,
};

const load = (name: keyof typeof randomWans, settings: WanSettings = {}) =>
  WanPipeline.load(randomWans[name], { executionProvider: "cpu", ...settings });

let pipeline: WanPipeline;
beforeAll(async () => {
  pipeline = await load("random-wan");
});
afterAll(() => pipeline.dispose());

/** Runs and keeps the frames and what the stages made. */
async function collect(changes: Partial<WanRequest> = {}, used = pipeline, hooks: WanHooks = {}) {
  const frames: RgbImage[] = [];
  const decoded: number[] = [];
  const stages: string[] = [];
  const latents: Float32Array[] = [];
  const onStage = (stage: WanStage) => {
    stages.push(stage.name);
    if (stage.name === "decoded") for (const value of stage.frames.data) decoded.push(value);
    if (stage.name === "step") latents.push(stage.latents.data.slice());
    hooks.onStage?.(stage);
  };
  const sink = async (frame: RgbImage) => void frames.push(frame);
  const result = await used.generate({ ...request, ...changes }, sink, { ...hooks, onStage });
  return { ...result, frames, decoded, stages, latents: latents.at(-1) ?? new Float32Array() };
}

it("draws its noise as torch does on a GPU when the job says so", async () => {
  const noises: Float32Array[] = [];
  const onStage = (stage: WanStage) => {
    if (stage.name === "prepared") noises.push(stage.noise.data.slice());
  };
  for (const noise of ["cuda", "cpu", undefined] as const) {
    await collect({ noise, numInferenceSteps: 1, guidanceScale: 1 }, pipeline, { onStage });
  }
  const [cuda = new Float32Array(), cpu, usual] = noises;
  expect(cuda).toEqual(new CudaGenerator(request.seed).randn(cuda.length));
  expect(cpu).toEqual(new TorchGenerator(request.seed).randn(cuda.length));
  expect(usual).toEqual(cpu);
});

describe("frames", () => {
  it.each([1, 5, 17, 81])("%s are made, each of the clip's size", async (frames) => {
    const clip = await collect({ frames, numInferenceSteps: 1, guidanceScale: 1 });
    expect(clip.frames.map(({ width, height }) => `${width}×${height}`)).toEqual(Array(frames).fill("64×64"));
    expect(clip.stages.filter((name) => name === "decoded")).toHaveLength((frames - 1) / 4 + 1);
  });

  it("of another number are those of the next 4n+1, without the last", async () => {
    const [whole, cut] = [await collect({ frames: 9 }), await collect({ frames: 6 })];
    expect(cut.frames).toEqual(whole.frames.slice(0, 6));
  });

  it("come in their order while later ones are not decoded yet", async () => {
    const events: string[] = [];
    await pipeline.generate({ ...request, frames: 9 }, async (_frame, index) => void events.push(String(index)), {
      onStage: ({ name }) => void (name === "decoded" && events.push("chunk")),
    });
    expect(events.join(" ")).toBe("chunk 0 chunk 1 2 3 4 chunk 5 6 7 8");
  });

  it("wait for a sink that is slow, and end with one that fails", async () => {
    let inSink = 0;
    const slow = pipeline.generate({ ...request, frames: 9 }, async () => {
      expect(++inSink).toBe(1);
      await new Promise(setImmediate);
      inSink--;
    });
    await slow;
    const full = pipeline.generate(request, () => Promise.reject(new Error("the disk is full")));
    await expect(full).rejects.toThrow("the disk is full");
  });
});

describe("memory", () => {
  const [first, next] = ["vae_decoder/first.onnx", "vae_decoder/next.onnx"];
  const [text, one, two] = ["text_encoder/model.onnx", "transformer/model.onnx", "transformer_2/model.onnx"];

  /** What is in memory at each stage. */
  async function residents(used: WanPipeline, changes: Partial<WanRequest> = {}) {
    const seen: string[] = [];
    const onStage = ({ name }: WanStage) => void seen.push(`${name}: ${used.inMemory.join(" ")}`);
    const { frames } = await collect(changes, used, { onStage });
    return { frames, seen: [...new Set(seen)] };
  }

  it("that is large enough holds the model as a whole, which no job loads again", async () => {
    const { loads } = pipeline.loading;
    await collect();
    expect(pipeline.inMemory).toEqual([first, text, one, next]);
    expect(pipeline.loading.loads).toBe(loads);
  });

  it("for one part holds that of the stage, in the order of the stages, with the same result", async () => {
    const [kept, small] = [await load("random-wan-2"), await load("random-wan-2", { maxWeightBytes: 0 })];
    expect(small.inMemory).toEqual([first]);
    const expected = (await collect({}, kept)).frames;
    const inOrder = [
      ...[`encoded: ${text}`, `prepared: ${text}`, `step: ${one}`, `step: ${two}`],
      ...[`decoded: ${first}`, `decoded: ${next}`],
    ];
    expect(await residents(small)).toEqual({ frames: expected, seen: inOrder });
    expect(small.loading.loads).toBe(1 + 5);
    // The prompts are known by now.
    const again = [`encoded: ${next}`, `prepared: ${next}`, ...inOrder.slice(2)];
    expect(await residents(small)).toEqual({ frames: expected, seen: again });
    await Promise.all([kept.dispose(), small.dispose()]);
  });

  it("for all but the text encoder keeps both transformers for the next job", async () => {
    const { weightBytes } = await readModelFolder(randomWans["random-wan-2"]);
    const usual = [...weightBytes].filter(([file]) => !file.startsWith("vae_encoder/"));
    const all = usual.reduce((sum, [, bytes]) => sum + bytes, 0);
    const used = await load("random-wan-2", { maxWeightBytes: all - 1 });
    await collect({}, used);
    expect(used.inMemory.toSorted()).toEqual([one, two, first, next].toSorted());
    const { loads } = used.loading;
    await collect({ seed: 8 }, used);
    expect(used.loading.loads).toBe(loads);
    await used.dispose();
  });

  it("of a text encoder is not needed for a prompt that was encoded before", async () => {
    const embeddings = new CountingCache();
    const used = await load("random-wan", { maxWeightBytes: 0, embeddings });
    const clip = await collect({}, used);
    expect(embeddings.encoded).toBe(2);
    const second = await load("random-wan", { maxWeightBytes: 0, embeddings });
    expect((await collect({}, second)).frames).toEqual(clip.frames);
    expect(embeddings.encoded).toBe(2);
    await collect({ prompt: "a red barn" }, second);
    expect(embeddings.encoded).toBe(3);
    await Promise.all([used.dispose(), second.dispose()]);
  });
});

/** Counts what the text encoder was needed for. */
class CountingCache extends EmbeddingCache {
  encoded = 0;

  override set(...entry: Parameters<EmbeddingCache["set"]>): Promise<void> {
    this.encoded++;
    return super.set(...entry);
  }
}

describe("tiles", () => {
  it("change a large frame little, and leave no seam", async () => {
    const size = { width: 448, height: 256, numInferenceSteps: 1, guidanceScale: 1 };
    const inTiles = await load("random-wan", { tileAbovePixels: 1, tilePixels: 256 });
    const [whole, tiled] = [await collect(size), await collect(size, inTiles)];
    const difference = meanDifference(tiled.decoded, whole.decoded);
    expect(difference).toBeGreaterThan(0);
    expect(difference).toBeLessThan(0.008);
    expect(seam(tiled.frames, whole.frames)).toBeLessThan(1.1);
    // A right half that is eight levels brighter has one.
    const halves = whole.frames.map(({ data, width, height }) => ({
      data: data.map((value, index) => (Math.floor(index / 3) % width < width / 2 ? value : value + 8)),
      width,
      height,
    }));
    expect(seam(halves, whole.frames)).toBeGreaterThan(1.1);
    await inTiles.dispose();
  });
});

/** How much more two neighbouring columns differ than the same ones of the untiled frames, at the most: 1 is no more. */
function seam(tiled: readonly RgbImage[], whole: readonly RgbImage[]): number {
  const steps = (frames: readonly RgbImage[]) => {
    const { width = 0, height = 0 } = frames[0] ?? {};
    return Array.from({ length: width - 1 }, (_, x) => {
      let sum = 0;
      for (const { data } of frames) {
        for (let y = 0; y < height; y++) {
          const at = (y * width + x) * 3;
          sum += Math.abs((data[at] ?? 0) - (data[at + 3] ?? 0));
        }
      }
      return sum;
    });
  };
  const untiled = steps(whole);
  return Math.max(...steps(tiled).map((step, x) => step / (untiled[x] ?? 0)));
}

describe("guidance", () => {
  it("up to 1 runs the transformer once for each step", async () => {
    const stages: WanStage[] = [];
    await collect({ guidanceScale: 1 }, pipeline, { onStage: (stage) => void stages.push(stage) });
    expect(stages.find(({ name }) => name === "encoded")).toMatchObject({ negativePrompt: undefined });
    const without = await collect({ guidanceScale: 0.5 });
    expect(without.frames).toEqual((await collect({ guidanceScale: 1 })).frames);
  });

  it("takes an absent negative prompt for an empty one", async () => {
    const [absent, empty] = [await collect({ negativePrompt: undefined }), await collect({ negativePrompt: "" })];
    expect(absent.frames).toEqual(empty.frames);
    expect(maxDifference(absent.latents, (await collect()).latents)).toBeGreaterThan(0);
  });

  it("of the second transformer is its own, from the timestep at which it takes over", async () => {
    const two = await load("random-wan-2");
    const base = await collect({}, two);
    const other = await collect({ guidanceScale2: 2 }, two);
    expect(maxDifference(base.latents, other.latents)).toBeGreaterThan(1e-3);
    // The first transformer alone: the second one's guidance counts nothing.
    const first = await collect({ switchTimestep: 0 }, two);
    expect((await collect({ switchTimestep: 0, guidanceScale2: 2 }, two)).frames).toEqual(first.frames);
    expect(maxDifference(first.latents, base.latents)).toBeGreaterThan(1e-3);
    await two.dispose();
  });

  it.each([
    ["guidance_scale_2", { guidanceScale2: 2 }],
    ["switch_threshold", { switchTimestep: 500 }],
  ])("by %s is for models with two transformers", async (name, changes) => {
    await expect(collect(changes)).rejects.toMatchObject({
      code: "INVALID_JOB",
      message: expect.stringContaining(`${name} is for models with two transformers`),
    });
  });
});

describe("prompts", () => {
  it("that are longer than the model reads are cut, and counted", async () => {
    const long = await collect({
      prompt: "lake ".repeat(600),
      negativePrompt: "blur ".repeat(600),
      numInferenceSteps: 1,
    });
    expect(long.promptTokens).toBe(512);
    expect(long.promptTokensCut).toBeGreaterThan(50);
    expect(long.negativePromptTokensCut).toBeGreaterThan(50);
    const short = await collect({ numInferenceSteps: 1 });
    expect(short.promptTokens).toBeLessThan(40);
    expect(short).toMatchObject({ promptTokensCut: 0, negativePromptTokensCut: 0 });
  });

  it("that mean the same after cleaning are one", async () => {
    const [plain, marked] = [
      await collect({ prompt: "a lake & a hill", numInferenceSteps: 1 }),
      await collect({ prompt: "  a lake &amp;\n a hill ", numInferenceSteps: 1 }),
    ];
    expect(marked.frames).toEqual(plain.frames);
  });
});

describe("cancel", () => {
  const stop = new Error("cancelled by the user");

  it.each(["encoded", "prepared", "step", "decoded"] as const)("after %s ends the run at once", async (stage) => {
    const controller = new AbortController();
    const seen: string[] = [];
    const frames: number[] = [];
    const run = pipeline.generate({ ...request, frames: 17 }, async (_frame, index) => void frames.push(index), {
      signal: controller.signal,
      onStage: ({ name }) => {
        seen.push(name);
        if (name === stage) controller.abort(stop);
      },
    });
    await expect(run).rejects.toBe(stop);
    expect(seen.filter((name) => name === stage)).toHaveLength(1);
    expect(seen.at(-1)).toBe(stage);
    expect(frames).toEqual([]);
  });

  it("that comes as a message is heard between the two passes of one step", async () => {
    const controller = new AbortController();
    let steps = 0;
    const run = pipeline.generate({ ...request, numInferenceSteps: 50 }, async () => undefined, {
      signal: controller.signal,
      onProgress: () => {
        if (++steps === 2) setImmediate(() => controller.abort(stop));
      },
    });
    await expect(run).rejects.toBe(stop);
    expect(steps).toBe(2);
  });

  it("before the start computes nothing", async () => {
    const before = pipeline.millisecondsInRun;
    const run = pipeline.generate(request, async () => undefined, { signal: AbortSignal.abort(stop) });
    await expect(run).rejects.toBe(stop);
    expect(pipeline.millisecondsInRun).toBe(before);
  });
});

it("reports progress of all stages on one scale that only rises", async () => {
  const done: number[] = [];
  await collect({ frames: 9 }, pipeline, {
    onProgress(step, total) {
      expect(total).toBe(100);
      done.push(step);
    },
  });
  expect(done).toEqual(done.toSorted((one, other) => one - other));
  expect(done.length).toBe(1 + 4 + 3);
  expect(done.at(-1)).toBe(100);
});

it("draws the same clip for the same seed, and another for another", async () => {
  const [one, same, other] = [await collect(), await collect(), await collect({ seed: 8 })];
  expect(same.frames).toEqual(one.frames);
  expect(other.frames).not.toEqual(one.frames);
});

it("says which step overflowed", async () => {
  await expect(collect({ guidanceScale: 1e39 })).rejects.toMatchObject({
    code: "NUMERICAL_ERROR",
    message: expect.stringContaining("NaN or infinity in the model's prediction in step 1 of 4"),
  });
});
