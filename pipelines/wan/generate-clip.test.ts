import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, describe, expect, it } from "vitest";
import { randomWans } from "#pipelines/testing/random-wan.ts";
import type { ClipParameters } from "./clip-job.ts";
import { type ClipHost, generateExactClip, generateRoundedClip } from "./generate-clip.ts";

const folder = mkdtempSync(join(tmpdir(), "clips-"));
afterAll(() => rmSync(folder, { recursive: true }));

const settings: ClipParameters = {
  width: 64,
  height: 64,
  num_inference_steps: 2,
  guidance_scale: 5,
  seed: 11,
  frame_num: 9,
};
const job = { prompt: "a lighthouse at dawn", negative_prompt: "blurry" };

interface Asset {
  readonly bytes: Uint8Array;
  readonly options: Parameters<ClipHost["asset"]>[1];
}

/** A host that keeps what it is given. */
function collectingHost(parameters: ClipParameters = settings, signal = new AbortController().signal) {
  const assets: Asset[] = [];
  const steps: number[] = [];
  const stages: string[] = [];
  const warnings: string[] = [];
  const scratch = mkdtempSync(join(folder, "scratch-"));
  const host: ClipHost = {
    signal,
    cacheFolder: join(folder, "cache"),
    log: { info() {}, warn: (_fields, message) => void warnings.push(message) },
    progress: (step) => void steps.push(step),
    stage: ({ name }) => void stages.push(name),
    parameters: async () => parameters,
    model: async () => ({ name: "random-wan", path: randomWans["random-wan"], version: "1" }),
    input: async (url) => ({ file: url, mimeType: "image/png" }),
    scratch: async () => scratch,
    asset: async (content, options) => {
      assets.push({ bytes: content instanceof Uint8Array ? content : readFileSync(content.file), options });
    },
  };
  return { assets, steps, stages, warnings, scratch, host };
}

describe("a clip", () => {
  it("is handed over as MP4 with a thumbnail, and reported", async () => {
    const { assets, steps, stages, host } = collectingHost();
    const { metadata } = await generateExactClip(job, host);
    expect(assets).toHaveLength(1);
    expect(assets[0]?.bytes.length).toBeGreaterThan(500);
    const { type, extension, mimeType, thumbnail, metadata: facts } = assets[0]?.options ?? {};
    expect({ type, extension, mimeType }).toEqual({ type: "video", extension: "mp4", mimeType: "video/mp4" });
    expect(facts).toMatchObject({ seed: 11, width: 64, height: 64, frames: 9, fps: 16, duration: 0.5625 });
    expect(await sharp(thumbnail?.bytes).metadata()).toMatchObject({ format: "webp", width: 64 });
    expect(stages).toEqual(["load", "encode", "prepare", "denoise", "decode", "save"]);
    expect(steps.at(-1)).toBe(100);
    expect(metadata).toMatchObject({
      seed: 11,
      width: 64,
      height: 64,
      num_inference_steps: 2,
      guidance_scale: 5,
      model: "random-wan",
      content_type: "video",
      reference_mode: "none",
      frame_num: 9,
      fps: 16,
      duration: 0.5625,
      prompt_tokens: expect.any(Number),
      execution_provider: "cpu",
      enhancement_strategy: "none",
    });
    expect(metadata).not.toHaveProperty("frame_num_requested");
  });

  it("of 83 frames is 83 long where exactly that is meant, and 81 with both numbers reported where it is rounded", async () => {
    const parameters = { ...settings, frame_num: 83, num_inference_steps: 1, guidance_scale: 1 };
    const exact = collectingHost(parameters);
    expect((await generateExactClip(job, exact.host)).metadata).toMatchObject({ frame_num: 83 });
    expect(exact.assets[0]?.options.metadata).toMatchObject({ frames: 83 });
    const rounded = collectingHost(parameters);
    const { metadata } = await generateRoundedClip(job, rounded.host);
    expect(metadata).toMatchObject({ frame_num: 81, frame_num_requested: 83 });
    expect(rounded.assets[0]?.options.metadata).toMatchObject({ frames: 81 });
  });

  it("reports a seed that was drawn, and a cut prompt", async () => {
    const { seed: _, ...seedless } = { ...settings, num_inference_steps: 1, frame_num: 5 };
    const { host, warnings } = collectingHost(seedless);
    const long = {
      prompt: "lighthouse ".repeat(5000),
      negative_prompt: "blur ".repeat(5000),
    };
    const { metadata } = await generateExactClip(long, host);
    expect(metadata).toMatchObject({
      seed: expect.any(Number),
      prompt_tokens: 512,
      prompt_tokens_cut: expect.any(Number),
      negative_prompt_tokens_cut: expect.any(Number),
    });
    expect(warnings).toEqual(["the prompt is longer than the model reads: its end was left out"]);
  });

  it.each([
    ["jpeg", "jpg"],
    ["webp", "webp"],
  ] as const)("of one frame is a %s when the job wants it, with how it was made", async (output_format, extension) => {
    const parameters = { ...settings, num_inference_steps: 1, frame_num: 1, output_format, output_quality: 70 };
    const { assets, host } = collectingHost(parameters);
    expect((await generateExactClip(job, host)).metadata.ignored).toEqual([]);
    expect(assets[0]?.options).toMatchObject({ type: "image", extension, mimeType: `image/${output_format}` });
    const { format, exif } = await sharp(assets[0]?.bytes).metadata();
    expect(format).toBe(output_format);
    expect(exif?.toString("latin1")).toContain('"prompt":"a lighthouse at dawn"');
  });

  it.each([
    [{ frame_num: 5, output_format: "webp", output_quality: 70 } as const, ["output_format", "output_quality"]],
    [{ frame_num: 1, output_quality: 70 }, ["output_quality"]],
  ])("lists what is given for another file: %j", async (parameters, ignored) => {
    const { host } = collectingHost({ ...settings, num_inference_steps: 1, ...parameters });
    expect((await generateExactClip(job, host)).metadata.ignored).toEqual(ignored);
  });

  it("is a WebM with a poster and a contact sheet on request", async () => {
    const parameters = { ...settings, num_inference_steps: 1, video_format: "webm", crf: 30 } as const;
    const { assets, host } = collectingHost({ ...parameters, poster: true, contact_sheet: true });
    await generateExactClip(job, host);
    expect(assets.map(({ options }) => [options.type, options.mimeType, options.metadata.role])).toEqual([
      ["video", "video/webm", undefined],
      ["image", "image/webp", "poster"],
      ["image", "image/webp", "contact_sheet"],
    ]);
  });

  it("a clip that could not be encoded is refused before the model is loaded", async () => {
    const { host, stages } = collectingHost({ ...settings, fps: 500 });
    await expect(generateExactClip(job, host)).rejects.toMatchObject({
      code: "UNSUPPORTED_OPTION",
      message: "The video's fps is 500: it must be more than 0 and at most 240.",
    });
    expect(stages).toEqual([]);
  });

  it("leaves no file when it is cancelled while frames are encoded, and the next one is whole", async () => {
    const controller = new AbortController();
    const { assets, scratch, host } = collectingHost({ ...settings, frame_num: 41 }, controller.signal);
    host.progress = (step) => {
      if (step > 92) controller.abort(new Error("cancelled"));
    };
    await expect(generateExactClip(job, host)).rejects.toThrow("cancelled");
    expect(assets).toEqual([]);
    expect(readdirSync(scratch)).toEqual([]);
    const next = collectingHost();
    await generateExactClip(job, next.host);
    expect(next.assets).toHaveLength(1);
  });
});

describe("one frame", () => {
  const { frame_num: _, ...picture } = settings;

  it("is a PNG with a thumbnail and a record of how it was made", async () => {
    const { assets, host } = collectingHost(picture);
    const { metadata } = await generateExactClip(job, host);
    expect(assets).toHaveLength(1);
    expect(assets[0]?.options).toMatchObject({
      type: "image",
      extension: "png",
      mimeType: "image/png",
      metadata: { seed: 11, width: 64, height: 64 },
    });
    const { format, comments } = await sharp(assets[0]?.bytes).metadata();
    expect(format).toBe("png");
    expect(comments?.find(({ keyword }) => keyword === "parameters")?.text).toMatch(
      /^a lighthouse at dawn\nNegative prompt: blurry\nSteps: 2, Sampler: UniPC, CFG scale: 5, Seed: 11, Size: 64x64, Model: random-wan$/,
    );
    const record = comments?.find(({ keyword }) => keyword === "ourvidz")?.text ?? "{}";
    expect(JSON.parse(record)).toMatchObject({ seed: 11, scheduler: "UniPCMultistepScheduler", flow_shift: 3 });
    expect(metadata).toMatchObject({ content_type: "image", frame_num: 1 });
  });

  it("is the same for the same seed", async () => {
    const [first, second] = [collectingHost(picture), collectingHost({ ...picture, frame_num: 1 })];
    await generateExactClip(job, first.host);
    await generateExactClip(job, second.host);
    expect(Buffer.compare(first.assets[0]?.bytes ?? Buffer.of(), second.assets[0]?.bytes ?? Buffer.of(1))).toBe(0);
  });
});

it.each([
  [{ guidance_scale: 1, guidance_scale_2: 3 }, ["negative_prompt", "guidance_scale_2"]],
  [{ guidance_scale: 1.5, guidance_scale_2: 3 }, []],
])("lists what guidance by %j does not use as ignored", async (changes, ignored) => {
  const { host } = collectingHost({ ...settings, num_inference_steps: 1, ...changes });
  host.model = async () => ({ name: "random-wan-2", path: randomWans["random-wan-2"], version: "1" });
  expect((await generateExactClip(job, host)).metadata).toMatchObject({ ignored });
});

it.each([
  [undefined, 3],
  [7, 7],
])("reports the shift that was used: that of the job %s, else the model's own", async (flow_shift, used) => {
  const { host } = collectingHost({ ...settings, num_inference_steps: 1, frame_num: 1, flow_shift });
  expect((await generateExactClip(job, host)).metadata).toMatchObject({ flow_shift: used });
});

describe("a task", () => {
  it.each(["t2v-1.3B", "t2v-14B", "t2v-A14B", "ti2v-5B"] as const)("%s is what the model does", async (task) => {
    const { host } = collectingHost({ ...settings, task, num_inference_steps: 1 });
    expect((await generateExactClip(job, host)).metadata).toMatchObject({ wan_task: task });
  });

  const exported = "with tools/export/export_wan.py, and send its folder's name as model_variant";

  it.each([
    [
      "i2v-14B",
      "UNSUPPORTED_OPTION",
      `task "i2v-14B" is none of the model random-wan, which makes clips from text: leave the task out, or export an image-to-video model (WanImageToVideoPipeline, as i2v-14B) ${exported}`,
    ],
    [
      "vace-1.3B",
      "UNSUPPORTED_OPTION",
      `task "vace-1.3B" is none of the model random-wan, which makes clips from text: leave the task out, or export a VACE model (WanVACEPipeline, as vace-14B) ${exported}`,
    ],
    ["t2i-14B", "INVALID_JOB", 'task "t2i-14B" makes one picture, and the job requests 9 frames'],
  ] as const)("%s is refused before the model is loaded", async (task, code, message) => {
    const { host, stages } = collectingHost({ ...settings, task });
    await expect(generateExactClip(job, host)).rejects.toMatchObject({
      code,
      permanent: true,
      message: expect.stringContaining(message),
    });
    expect(stages).toEqual([]);
  });
});

it("that could not be encoded is refused before the model is loaded", async () => {
  await expect(generateExactClip(job, withoutFiles({ ...settings, fps: 1000 }))).rejects.toMatchObject({
    code: "UNSUPPORTED_OPTION",
    message: expect.stringContaining("fps is 1000"),
  });
});

it("reports what a clip can be made again with", async () => {
  const { host } = collectingHost({ ...settings, num_inference_steps: 1, guidance_scale_2: 3, switch_threshold: 400 });
  host.model = async () => ({ name: "random-wan-2", path: randomWans["random-wan-2"], version: "1" });
  expect((await generateExactClip(job, host)).metadata).toMatchObject({ guidance_scale_2: 3, switch_threshold: 400 });
});

/** A host whose model cannot be loaded. */
function withoutFiles(parameters: ClipParameters): ClipHost {
  const { host } = collectingHost(parameters);
  return { ...host, model: async () => ({ name: "random-wan", path: join(folder, "none"), version: "1" }) };
}

it("loads no model code when it is only imported", () => {
  const script = `
    await import(${JSON.stringify(new URL("generate-clip.ts", import.meta.url).href)});
    const native = process.report.getReport().sharedObjects.filter((path) => /onnxruntime|sharp|vips/.test(path));
    process.stdout.write(JSON.stringify(native));
  `;
  const output = execFileSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
  expect(JSON.parse(output)).toEqual([]);
});
