import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { randomWans } from "#pipelines/testing/random-wan.ts";
import { decodeFrames } from "#pipelines/video/testing/clips.ts";
import { copyVaceModel } from "#pipelines/wan/testing/vace-cases.ts";
import type { LiveEvent } from "#runtime/dispatch/job-events.ts";
import { executorsOf, killNow } from "./support/kill.ts";
import { startTestRuntime, type TestRuntime, untilEvent } from "./support/runtime.ts";

/* WAN's job types from the queue to the store, with models of random weights, and what ends a clip half-way. */

vi.setConfig({ testTimeout: 90_000 });

let models: string;
let container: TestRuntime;
const settings = () => ({
  HANDLERS_DIR: join(import.meta.dirname, "../handlers"),
  MODELS_DIR: models,
  WORKERS: "wan",
});

beforeAll(async () => {
  models = mkdtempSync(join(tmpdir(), "ourvidz-wan-models-"));
  symlinkSync(randomWans["random-wan"], join(models, "wan"));
  symlinkSync(randomWans["random-wan-2"], join(models, "t2v_2_2"));
  symlinkSync(randomWans["random-wan"], join(models, "t2v"));
  renameSync(copyVaceModel("vace"), join(models, "vace_2_2"));
  container = await startTestRuntime(settings());
});

afterAll(async () => {
  await container.stop();
  await container.remove();
  rmSync(models, { recursive: true });
});

const small = { width: 64, height: 64, num_inference_steps: 2, guidance_scale: 3 };

async function run(type: string, config: Record<string, unknown> = {}) {
  return await container.ended(await container.submit(type, config));
}

describe("job types", () => {
  it.each(["image_fast", "image_high"])("%s makes one picture, though the model's clips are longer", async (type) => {
    const { result } = await run(type, { steps: 2, frame_num: 1 });
    expect(result?.assets).toMatchObject([
      { type: "image", mime_type: "image/png", metadata: { width: 64, height: 64 } },
    ]);
    expect(result?.metadata).toMatchObject({ frame_num: 1, content_type: "image", ignored: [] });
  });

  it.each(["video_fast", "video_high"])("%s rounds 83 frames down to 81, and reports both", async (type) => {
    const { result } = await run(type, { sample_steps: 1, size: "80*64", frame_num: 83, sample_solver: "unipc" });
    const { assets: [asset] = [], metadata } = result ?? {};
    expect(asset).toMatchObject({ type: "video", metadata: { frames: 81, width: 80, height: 64, fps: 16 } });
    expect(metadata).toMatchObject({ frame_num: 81, frame_num_requested: 83, scheduler: "UniPCMultistepScheduler" });
  });

  it("wan_generate makes exactly as many frames as the job says, and a picture of one", async () => {
    const clip = await run("wan_generate", { ...small, frame_num: 83 });
    expect(clip.result?.assets).toMatchObject([{ type: "video", metadata: { frames: 83 } }]);
    const file = container.files.locate("wan_generate", `anonymous/${clip.job.id}/0.mp4`);
    expect(await decodeFrames(file, 64, 64)).toHaveLength(83);
    const picture = await run("wan_generate", { ...small, frame_num: 1 });
    expect(picture.result?.assets).toMatchObject([{ type: "image", mime_type: "image/png" }]);
  });

  it.each(["t2v", "generate_video", "t2v_22"])("%s takes the names of the headless system", async (type) => {
    const { result } = await run(type, { steps: 2, resolution: "64x64", video_length: 9, sample_shift: 3 });
    expect(result?.assets).toMatchObject([{ type: "video", metadata: { frames: 9 } }]);
    expect(result?.metadata).toMatchObject({ flow_shift: 3, scheduler: "FlowMatchEulerDiscreteScheduler" });
  });

  it("a prompt of 5,000 words is cut where the model ends, which is reported; what nothing uses is listed", async () => {
    const words = { prompt: "harbour ".repeat(5000), negative_prompt: "fog ".repeat(5000) };
    const submit = async (guidance_scale: number) => {
      const config = { ...small, frame_num: 1, guidance_scale, unheard: true };
      return (await container.ended(await container.submit("wan_generate", config, words))).result?.metadata;
    };
    const cut = { prompt_tokens: 512, prompt_tokens_cut: expect.any(Number) };
    expect(await submit(3)).toMatchObject({
      ...cut,
      negative_prompt_tokens_cut: expect.any(Number),
      ignored: ["unheard"],
    });
    expect(await submit(1)).toMatchObject({ ...cut, ignored: ["unheard", "negative_prompt"] });
  });

  it("vace shows its model the pictures that the job gives", async () => {
    const picture = await sharp({ create: { width: 40, height: 30, channels: 3, background: "#2060c0" } })
      .png()
      .toBuffer();
    const image_refs = [`data:image/png;base64,${picture.toString("base64")}`];
    const { result } = await run("vace", { ...small, steps: 2, frame_num: 17, image_refs, control_scale: [1, 0.5] });
    expect(result?.assets).toMatchObject([{ type: "video", metadata: { frames: 17 } }]);
    expect(result?.metadata).toMatchObject({ reference_path: "vace", image_refs: 1, model: "vace_2_2", ignored: [] });
  });

  it("wan_2_2_t2i makes one picture with both transformers", async () => {
    const { result } = await run("wan_2_2_t2i", { steps: 4, resolution: "64x64", guidance_scale_2: 3 });
    expect(result?.assets).toMatchObject([{ type: "image", mime_type: "image/png" }]);
    expect(result?.metadata).toMatchObject({ guidance_scale: 7.5, guidance_scale_2: 3, model: "t2v_2_2" });
  });
});

it.each([
  ["0", { parts_loaded: 4, parts_load_time: expect.any(Number) }],
  ["100", {}],
])("MODEL_MEMORY_MB=%s decides what of the model stays for the next job", async (MODEL_MEMORY_MB, expected) => {
  const other = await startTestRuntime({ ...settings(), MODEL_MEMORY_MB });
  onTestFinished(async () => {
    await other.stop();
    await other.remove();
  });
  const makeClip = async () => {
    const { result } = await other.ended(await other.submit("t2v_22", { ...small, frame_num: 5, steps: 4 }));
    return result?.metadata ?? {};
  };
  await makeClip();
  const { parts_loaded, parts_load_time } = await makeClip();
  expect({ parts_loaded, parts_load_time }).toEqual(expected);
});

describe("what cannot be is refused in one sentence, for good", () => {
  it.each<[string, Record<string, unknown>, string, RegExp]>([
    ["no frames", { frame_num: 0 }, "INVALID_JOB", /config\.frame_num is 0: must be a whole number from 5 to 161/],
    [
      "a clip of too many pixels",
      { size: "2048*2048", frame_num: 161 },
      "INVALID_JOB",
      /frame_num is 161: must be at most 35 at 2048×2048/,
    ],
    ["2,000 frames", { frame_num: 2000 }, "INVALID_JOB", /from 5 to 161/],
    ["an odd width", { size: "481*832" }, "INVALID_JOB", /width is 481: must be a multiple of 16 .*480 or 496/],
    [
      "a negative guidance",
      { guidance_scale: -1 },
      "INVALID_JOB",
      /guidance_scale is -1: must be a number from 0 to 30/,
    ],
    ["no shift", { sample_shift: 0 }, "INVALID_JOB", /flow_shift is 0: must be a number from 0\.1 to 20/],
    ["no steps", { steps: 0 }, "INVALID_JOB", /num_inference_steps is 0: must be a whole number from 1 to 150/],
    [
      "a task of other weights",
      { task: "i2v-14B" },
      "UNSUPPORTED_OPTION",
      /"i2v-14B" is none of the model wan, which makes clips from text: leave the task out, or export an image-to-video model/,
    ],
  ])("%s", async (_what, config, code, message) => {
    const record = await run("video_fast", config);
    expect(record).toMatchObject({ status: "failed", attempt: 1 });
    expect(record.error?.code).toBe(code);
    expect(record.error?.message).toMatch(message);
  });
});

/** Percent of the job's progress scale. */
const isAt =
  (from: number, to: number) =>
  (event: LiveEvent): boolean =>
    event.kind === "progress" && event.step >= from && event.step < to;

const long = { ...small, num_inference_steps: 60, frame_num: 81, seed: 5 };

describe("a clip", () => {
  it.each([
    ["encodes its prompt", isAt(0, 100)],
    ["denoises", isAt(20, 88)],
    ["decodes and encodes frames", isAt(89, 100)],
  ])("whose executor is killed while it %s is made again, once", async (_stage, isThere) => {
    const id = await container.submit("wan_generate", long);
    await untilEvent(container, id, isThere);
    for (const executor of await executorsOf(process.pid)) killNow(executor);
    const record = await container.ended(id);
    expect(record).toMatchObject({ status: "completed", attempt: 2 });
    expect(record.attempts[0]).toMatchObject({ error: { code: "EXECUTOR_CRASHED" } });
    expect(record.result?.assets).toMatchObject([{ metadata: { frames: 81, seed: 5 } }]);
  });

  it.each([
    ["denoises", isAt(3, 80)],
    ["decodes and encodes frames", isAt(89, 100)],
  ])("that is cancelled while it %s leaves nothing, and frees its slot", async (_stage, isThere) => {
    const id = await container.submit("wan_generate", long);
    await untilEvent(container, id, isThere);
    await container.queue.cancel(id);
    expect(await container.ended(id)).toMatchObject({ status: "cancelled" });
    const work = join(container.folder, "work", id);
    await expect.poll(() => (existsSync(work) ? readdirSync(work, { recursive: true }) : [])).toEqual([]);
    expect(await run("wan_generate", small)).toMatchObject({ status: "completed" });
  });
});
