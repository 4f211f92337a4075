import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { LoraHost, ReferenceHost } from "#pipelines/core/host.ts";
import { fixtureLora } from "#pipelines/lora/testing/lora-fidelity.ts";
import { maxDifference } from "#pipelines/testing/compare.ts";
import { tinySdxl } from "#pipelines/testing/tiny-sdxl.ts";
import { generateImages } from "./generate-images.ts";
import type { ImageJob, ImageParameters } from "./image-job.ts";
import { copyRefinerModel } from "./testing/refiner-cases.ts";

type Host = ReferenceHost<ImageParameters> & LoraHost<ImageParameters>;

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
function collectingHost(
  parameters: ImageParameters = settings,
  signal = new AbortController().signal,
  files: Readonly<Record<string, string>> = {},
) {
  const assets: Asset[] = [];
  const fetched: string[] = [];
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
    async input(url) {
      fetched.push(url);
      const file = files[url];
      if (file === undefined) throw new Error(`there is no ${url}`);
      return { file, mimeType: "image/png" };
    },
    async lora(source) {
      return { file: fixtureLora(source, 1).path, version: source, name: source };
    },
    async asset(bytes, options) {
      assets.push({ bytes, options });
    },
  };
  return { assets, steps, stages, fetched, host };
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

  it.each([
    [{ output_quality: 40 }, ["output_quality"]],
    [{ output_quality: 40, output_format: "png" }, ["output_quality"]],
    [{ output_quality: 40, output_format: "webp" }, []],
    [{}, []],
  ] as const)("lists what %j gives and plays no part: %j", async (parameters, ignored) => {
    const { host } = collectingHost({ ...settings, num_images: 1, num_inference_steps: 1, ...parameters });
    expect((await generateImages(job, host)).metadata.ignored).toEqual(ignored);
  });

  it("writes how a picture was made into its PNG", async () => {
    const { assets, host } = collectingHost({ ...settings, num_images: 1, clip_skip: 1 });
    await generateImages(job, host);
    const { comments } = await sharp(assets[0]?.bytes).metadata();
    expect(comments?.map(({ keyword }) => keyword)).toEqual(expect.arrayContaining(["parameters", "ourvidz"]));
    const textOf = (name: string) => comments?.find(({ keyword }) => keyword === name)?.text ?? "";
    expect(textOf("parameters")).toBe(
      "a lighthouse at dawn\nNegative prompt: blurry\nSteps: 3, Sampler: Euler, CFG scale: 5, " +
        "Seed: 11, Size: 64x64, Model: tiny-sdxl, Clip skip: 3",
    );
    expect(JSON.parse(textOf("ourvidz"))).toMatchObject({ prompt: "a lighthouse at dawn", seed: 11, clip_skip: 1 });
  });

  it.each([
    ["jpeg", "jpg"],
    ["webp", "webp"],
  ] as const)("stores %s when the job wants it, with how it was made", async (output_format, extension) => {
    const [fine, coarse] = [90, 20].map((output_quality) =>
      collectingHost({ ...settings, num_images: 1, output_format, output_quality }),
    );
    for (const each of [fine, coarse]) await generateImages(job, each?.host ?? collectingHost().host);
    const [asset] = fine?.assets ?? [];
    expect(asset?.options).toMatchObject({ type: "image", extension, mimeType: `image/${output_format}` });
    const { format, exif } = await sharp(asset?.bytes).metadata();
    expect(format).toBe(output_format);
    expect(exif?.toString("latin1")).toContain('"prompt":"a lighthouse at dawn"');
    expect(coarse?.assets[0]?.bytes.length).toBeLessThan(asset?.bytes.length ?? 0);
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

  it("merges LoRA files, reports them, and writes their names into the PNG", async () => {
    const one = { ...settings, num_images: 1 };
    const [plain, styled] = [
      collectingHost(one),
      collectingHost({ ...one, loras: [{ source: "kohya", phases: [[0.5]] }] }),
    ];
    expect((await generateImages(job, plain.host)).metadata.loras).toBeUndefined();
    const { metadata } = await generateImages(job, styled.host);
    expect(metadata.loras).toEqual([{ name: "kohya", strength: 0.5 }]);
    expect(styled.assets[0]?.bytes).not.toEqual(plain.assets[0]?.bytes);
    const { comments } = await sharp(styled.assets[0]?.bytes).metadata();
    const text = comments?.find(({ keyword }) => keyword === "ourvidz")?.text ?? "";
    expect(JSON.parse(text).loras).toEqual([{ name: "kohya", strength: 0.5 }]);
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
          "the prompt is taken as plain text",
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

    it("takes brackets and quotes for marks also where nothing has a weight", async () => {
      const grouped = { prompt: "a (lighthouse) at dawn", compel_enabled: true };
      const { metadata } = await generateImages(grouped, collectingHost(one).host);
      expect(metadata).toMatchObject({ enhancement_strategy: "compel", prompt_weights: [] });
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

describe("a model with a refiner", () => {
  const path = copyRefinerModel("handover");
  afterAll(() => rmSync(path, { recursive: true }));

  it("reports where it went on, in the file too", async () => {
    const { host, assets } = collectingHost({ ...settings, num_images: 1, aesthetic_score: 8 });
    const model = async () => ({ name: "with-refiner", path, version: "1" });
    const { metadata } = await generateImages(job, { ...host, model });
    expect(metadata).toMatchObject({ denoising_end: 0.8, aesthetic_score: 8, model: "with-refiner" });
    const { comments } = await sharp(assets[0]?.bytes).metadata();
    expect(comments?.find(({ keyword }) => keyword === "parameters")?.text).toContain("Refiner switch at: 0.8");
    const alone = collectingHost({ ...settings, num_images: 1, denoising_end: 1, aesthetic_score: 8 });
    const without = (await generateImages(job, { ...alone.host, model })).metadata;
    expect([metadata.ignored, without.ignored]).toEqual([[], ["aesthetic_score"]]);
    expect(without.denoising_end).toBeUndefined();
  });
});

describe("a reference", () => {
  const folder = mkdtempSync(join(tmpdir(), "references-"));
  const files = {
    "a.png": join(folder, "a.png"),
    "mask.png": join(folder, "mask.png"),
    "a.pdf": join(folder, "a.pdf"),
  };
  const reference_image_url = "a.png";
  const one = { ...settings, num_images: 1, num_inference_steps: 10 };

  beforeAll(async () => {
    // Wider than the images: its middle is taken.
    const gradient = Uint8Array.from({ length: 160 * 80 * 3 }, (_, index) => (index * 7) % 256);
    await sharp(gradient, { raw: { width: 160, height: 80, channels: 3 } })
      .blur(4)
      .png()
      .toFile(files["a.png"]);
    const right = Uint8Array.from({ length: 160 * 80 }, (_, index) => (index % 160 < 80 ? 0 : 255));
    await sharp(right, { raw: { width: 160, height: 80, channels: 1 } })
      .png()
      .toFile(files["mask.png"]);
    writeFileSync(files["a.pdf"], "%PDF-1.4");
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const run = async (more: Omit<ImageJob, "prompt">, parameters: ImageParameters = one) => {
    const collected = collectingHost(parameters, new AbortController().signal, files);
    const { metadata } = await generateImages({ ...job, ...more }, collected.host);
    return { ...collected, metadata };
  };

  it("is fetched, and begun with at the strength that the job gives, or the reference's own", async () => {
    const { fetched, steps, assets, metadata } = await run({ metadata: { reference_image_url } });
    expect(fetched).toEqual(["a.png"]);
    expect(steps).toEqual(["1/2", "2/2"]);
    expect(metadata).toMatchObject({
      reference_path: "img2img",
      reference_mode: "modify",
      denoise_strength: 0.2,
      steps_run: 2,
      num_inference_steps: 10,
    });
    const { comments } = await sharp(assets[0]?.bytes).metadata();
    expect(comments?.find(({ keyword }) => keyword === "parameters")?.text).toContain("Denoising strength: 0.2");
    const strong = await run({ metadata: { reference_image_url } }, { ...one, denoise_strength: 0.7 });
    expect(strong.steps).toHaveLength(7);
  });

  it("takes one step where nobody chose a strength that leaves none", async () => {
    const few = { ...one, num_inference_steps: 4 };
    expect((await run({ metadata: { reference_image_url } }, few)).steps).toEqual(["1/1"]);
    await expect(run({ metadata: { reference_image_url } }, { ...few, denoise_strength: 0.2 })).rejects.toMatchObject({
      code: "INVALID_JOB",
    });
  });

  it.each([
    ["style", ["ip_adapter_scale"]],
    ["composition", ["controlnet_conditioning_scale", "control_guidance_end"]],
    // What plays no part in any model is listed where the job is checked.
    [undefined, []],
  ] as const)("for its %s lists what the model has no part for: %j", async (reference_type, ignored) => {
    const scales = { ip_adapter_scale: 0.4, controlnet_conditioning_scale: 0.5, control_guidance_end: 0.9 };
    const { metadata } = await run({ metadata: { reference_image_url, reference_type } }, { ...one, ...scales });
    expect(metadata.ignored).toEqual(ignored);
  });

  it("is copied with one step", async () => {
    const copy = { ...one, num_inference_steps: 15, guidance_scale: 1, denoise_strength: 0.05 };
    for (const how of [{ exact_copy_mode: true }, { reference_mode: "copy" }] as const) {
      const { steps, metadata } = await run({ metadata: { reference_image_url, ...how } }, copy);
      expect(steps).toEqual(["1/1"]);
      expect(metadata).toMatchObject({ reference_mode: "copy", reference_path: "img2img", steps_run: 1 });
    }
  });

  it.each([
    ["style", undefined, 0.6],
    ["style", 0.3, 0.6],
    ["style", 0.9, 0.9],
    ["composition", undefined, 0.5],
    ["composition", 0.9, 0.5],
    ["composition", 0.3, 0.3],
    ["character", undefined, 0.2],
    ["character", 0.4, 0.4],
  ] as const)("of the type %s at strength %s is changed by %d without an adapter", async (type, given, strength) => {
    const { metadata } = await run(
      { metadata: { reference_image_url, reference_type: type } },
      { ...one, denoise_strength: given },
    );
    expect(metadata).toMatchObject({ reference_path: "img2img", reference_type: type, denoise_strength: strength });
  });

  it("stays as it is outside of its mask", async () => {
    const masked = { config: { mask_image_url: "mask.png" }, metadata: { reference_image_url } };
    const { fetched, assets } = await run(masked, { ...one, denoise_strength: 0.8 });
    expect(fetched).toEqual(["a.png", "mask.png"]);
    const drawn = await sharp(assets[0]?.bytes).raw().toBuffer();
    const original = await sharp(files["a.png"])
      .resize(128, 64, { kernel: "lanczos3" })
      .extract({ left: 32, top: 0, width: 64, height: 64 })
      .raw()
      .toBuffer();
    const columns = (pixels: Uint8Array, from: number, to: number) =>
      pixels.filter((_, index) => Math.floor(index / 3) % 64 >= from && Math.floor(index / 3) % 64 < to);
    expect(maxDifference(columns(drawn, 0, 20), columns(original, 0, 20))).toBeLessThanOrEqual(3);
    expect(maxDifference(columns(drawn, 40, 64), columns(original, 40, 64))).toBeGreaterThan(10);
  });

  it("is not fetched when the job says that it is not meant", async () => {
    const { fetched, steps } = await run({ config: { pipeline: "txt2img" }, metadata: { reference_image_url } });
    expect(fetched).toEqual([]);
    expect(steps).toHaveLength(10);
  });

  it("that is no picture ends the job before a model is looked at", async () => {
    const { host } = collectingHost(one, new AbortController().signal, files);
    host.model = async () => {
      throw new Error("looked at the model");
    };
    const bad = generateImages({ ...job, metadata: { reference_image_url: "a.pdf" } }, host);
    await expect(bad).rejects.toMatchObject({ code: "INPUT_INVALID", permanent: true });
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
