import { execFileSync } from "node:child_process";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import type { PipelineHost } from "#pipelines/core/host.ts";
import { tinySdxl } from "#pipelines/testing/tiny-sdxl.ts";
import { generateImages } from "./generate-images.ts";
import type { ImageParameters } from "./image-job.ts";

type Host = PipelineHost<ImageParameters>;

const settings: ImageParameters = {
  width: 64,
  height: 64,
  num_inference_steps: 3,
  guidance_scale: 5,
  num_images: 3,
  seed: 11,
};
const job = { prompt: "a lighthouse at dawn", negative_prompt: "blurry" };

type Asset = { readonly bytes: Uint8Array; readonly options: Parameters<Host["asset"]>[1] };

/** A host that keeps what it is given. */
function collectingHost(parameters: ImageParameters = settings, signal = new AbortController().signal) {
  const assets: Asset[] = [];
  const steps: string[] = [];
  const stages: string[] = [];
  const host: Host = {
    signal,
    log: { info() {}, warn() {} },
    progress(step, total) {
      steps.push(`${step}/${total}`);
    },
    stage({ name, seconds }) {
      expect(seconds).toBeGreaterThanOrEqual(0);
      stages.push(name);
    },
    async parameters() {
      return parameters;
    },
    async model() {
      return { name: "tiny-sdxl", path: tinySdxl, version: "1" };
    },
    async asset(bytes, options) {
      assets.push({ bytes, options });
    },
  };
  return { assets, steps, stages, host };
}

describe("generateImages", () => {
  it("hands over a PNG and a thumbnail per image, and reports what was used", async () => {
    const { assets, steps, stages, host } = collectingHost();
    const { metadata } = await generateImages(job, host);
    expect(steps).toEqual(["1/3", "2/3", "3/3"]);
    expect(stages).toEqual(["load", "encode", "prepare", "denoise", "decode", "save"]);
    expect(assets.map(({ options }) => options.metadata)).toEqual(
      [11, 12, 13].map((seed) => ({ seed, width: 64, height: 64 })),
    );
    for (const { bytes, options } of assets) {
      expect(options).toMatchObject({ type: "image", extension: "png", mimeType: "image/png" });
      expect(await sharp(bytes).metadata()).toMatchObject({ format: "png", width: 64, height: 64, depth: "uchar" });
      expect(options.thumbnail).toMatchObject({ extension: "webp", mimeType: "image/webp" });
      expect(await sharp(options.thumbnail.bytes).metadata()).toMatchObject({ format: "webp", width: 64 });
    }
    expect(metadata).toMatchObject({
      seed: 11,
      num_images: 3,
      width: 64,
      height: 64,
      num_inference_steps: 3,
      guidance_scale: 5,
      scheduler: "EulerDiscreteScheduler",
      model: "tiny-sdxl",
      prompt_tokens: expect.any(Number),
      negative_prompt_tokens: 1,
      chunks: 1,
      execution_provider: expect.any(String),
      enhancement_strategy: "none",
      generation_time: expect.any(Number),
      load_time: expect.any(Number),
    });
  });

  it("writes how a picture was made into its PNG", async () => {
    const { assets, host } = collectingHost({ ...settings, num_images: 1, clip_skip: 1 });
    await generateImages(job, host);
    const { comments } = await sharp(assets[0]?.bytes).metadata();
    expect(comments?.map(({ keyword }) => keyword)).toEqual(expect.arrayContaining(["parameters", "ourvidz"]));
    const textOf = (name: string) => comments?.find(({ keyword }) => keyword === name)?.text ?? "";
    expect(textOf("parameters")).toBe(
      "a lighthouse at dawn\nNegative prompt: blurry\nSteps: 3, Sampler: EulerDiscreteScheduler, CFG scale: 5, " +
        "Seed: 11, Size: 64x64, Model: tiny-sdxl, Clip skip: 3",
    );
    expect(JSON.parse(textOf("ourvidz"))).toMatchObject({ prompt: "a lighthouse at dawn", seed: 11, clip_skip: 1 });
  });

  it("draws the same bytes for the same seed, and reports a seed that it drew itself", async () => {
    const [first, second] = [
      collectingHost({ ...settings, num_images: 1 }),
      collectingHost({ ...settings, num_images: 1 }),
    ];
    await generateImages(job, first.host);
    await generateImages(job, second.host);
    expect(Buffer.compare(first.assets[0]?.bytes ?? Buffer.of(), second.assets[0]?.bytes ?? Buffer.of())).toBe(0);

    const { seed: _, ...seedless } = settings;
    const { metadata } = await generateImages(job, collectingHost(seedless).host);
    expect(metadata.seed).toBeLessThan(2 ** 32);
  });

  describe("with prompt weights", () => {
    const one = { ...settings, num_images: 1 };
    const weighted = { ...job, compel_enabled: true, compel_weights: "(lighthouse:1.3), sea--" };

    it("applies them, and reports them", async () => {
      const [plain, applied] = [collectingHost(one), collectingHost(one)];
      await generateImages(job, plain.host);
      const { metadata } = await generateImages(weighted, applied.host);
      expect(metadata).toMatchObject({
        enhancement_strategy: "compel",
        compel_weights: weighted.compel_weights,
        final_prompt_type: "conditioning_tensor",
        prompt_weights: [
          { text: "lighthouse", weight: 1.3 },
          { text: "sea", weight: 0.81 },
        ],
      });
      expect(metadata.fallback_reason).toBeUndefined();
      expect(applied.assets[0]?.bytes).not.toEqual(plain.assets[0]?.bytes);
    });

    it("draws the plain prompt where they cannot be read, and says why", async () => {
      const [plain, fallback] = [collectingHost(one), collectingHost(one)];
      await generateImages(job, plain.host);
      const { metadata } = await generateImages({ ...weighted, compel_weights: "(lighthouse:1.3" }, fallback.host);
      expect(metadata).toMatchObject({
        enhancement_strategy: "fallback",
        fallback_reason:
          'compel_weights: the bracket "(" at character 1 is not closed (write \\( for the sign itself): ' +
          "the picture was drawn from the plain prompt",
      });
      expect(metadata.compel_weights).toBeUndefined();
      const pixels = ({ assets }: typeof plain) => sharp(assets[0]?.bytes).raw().toBuffer();
      expect(Buffer.compare(await pixels(plain), await pixels(fallback))).toBe(0);
    });

    it.each([
      ["a, b, c, d, e, f, g", "there are 7 terms; at most 6 are allowed"],
      ["(lighthouse:9)", 'the weight of "(lighthouse:9)" is 9; it must be 0 to 2'],
    ])("refuses %s before a model is loaded", async (compel_weights, message) => {
      const { host, stages } = collectingHost(one);
      await expect(generateImages({ ...weighted, compel_weights }, host)).rejects.toMatchObject({
        code: "INVALID_JOB",
        permanent: true,
        message: `compel_weights: ${message}`,
      });
      expect(stages).toEqual([]);
    });

    it("leaves a prompt without weights as it is, and weights that are not enabled", async () => {
      for (const other of [{ compel_weights: " " }, { compel_enabled: false }]) {
        const { metadata } = await generateImages({ ...weighted, ...other }, collectingHost(one).host);
        expect(metadata).toMatchObject({ enhancement_strategy: "none", final_prompt_type: "string" });
      }
    });
  });

  it("stops within a step when it is cancelled, and can draw the next job", async () => {
    const controller = new AbortController();
    const { assets, steps, host } = collectingHost({ ...settings, num_inference_steps: 30 }, controller.signal);
    const progress = host.progress;
    host.progress = (step, total) => {
      progress(step, total);
      if (step === 2) controller.abort(new Error("cancelled"));
    };
    await expect(generateImages(job, host)).rejects.toThrow("cancelled");
    expect(steps).toEqual(["1/30", "2/30"]);
    expect(assets).toEqual([]);
    const next = collectingHost();
    await generateImages(job, next.host);
    expect(next.assets).toHaveLength(3);
  });
});

it("loads no model code when it is only imported", () => {
  const script = `
    await import(${JSON.stringify(new URL("generate-images.ts", import.meta.url).href)});
    const native = process.report.getReport().sharedObjects.filter((path) => /onnxruntime|sharp|vips/.test(path));
    process.stdout.write(JSON.stringify(native));
  `;
  const output = execFileSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
  expect(JSON.parse(output)).toEqual([]);
});
