import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { meanDifference } from "#pipelines/testing/compare.ts";
import { randomWans } from "#pipelines/testing/random-wan.ts";
import { findFfmpeg } from "#pipelines/video/ffmpeg-paths.ts";
import { decodeFrames } from "#pipelines/video/testing/clips.ts";
import type { ClipParameters } from "../clip-job.ts";
import { type ClipHost, generateControlledClip } from "../generate-clip.ts";
import { copyVaceModel } from "../testing/vace-cases.ts";
import type { ControlFiles } from "./clip-control.ts";

const folder = mkdtempSync(join(tmpdir(), "controls-"));
const models = { vace: copyVaceModel("vace"), text: randomWans["random-wan"] };
afterAll(() => {
  rmSync(folder, { recursive: true });
  rmSync(models.vace, { recursive: true });
});

const types: Readonly<Record<string, string>> = { mp4: "video/mp4", gif: "image/gif", png: "image/png" };

beforeAll(async () => {
  const { ffmpeg } = await findFfmpeg();
  const make = (name: string, source: string) =>
    promisify(execFile)(ffmpeg, ["-v", "error", "-f", "lavfi", "-i", source, join(folder, name)]);
  await make("guide.mp4", "testsrc2=s=80x60:r=8:d=2");
  await make("mask.mp4", "color=white:s=80x60:r=8:d=2,drawbox=c=black:t=fill:w=40:h=60");
  await make("short.mp4", "color=white:s=80x60:r=8:d=1");
  await make("guide.gif", "testsrc2=s=80x60:r=8:d=0.5");
  const picture = async (name: string, width: number, height: number) =>
    await sharp({ create: { width, height, channels: 3, background: "#2060c0" } })
      .png()
      .toFile(join(folder, name));
  await picture("lake.png", 90, 40);
  await picture("vast.png", 5100, 5000);
});

interface Made {
  readonly metadata: Readonly<Record<string, unknown>>;
  /** Values of all frames. */
  readonly values: readonly number[];
}

/** Runs a job whose inputs are files of the folder, in a folder of its own. */
async function run(
  config: ControlFiles & { readonly image?: string; readonly first_frame?: string },
  { model = "vace", ...parameters }: Partial<ClipParameters> & { readonly model?: keyof typeof models } = {},
  more: Partial<ClipHost> = {},
): Promise<Made> {
  const scratch = mkdtempSync(join(folder, "scratch-"));
  const values: number[] = [];
  const host: ClipHost = {
    signal: new AbortController().signal,
    cacheFolder: join(folder, "cache"),
    log: { info() {}, warn() {} },
    progress() {},
    parameters: async () => ({
      ...{ width: 64, height: 48, num_inference_steps: 2, guidance_scale: 1, seed: 4, frame_num: 9, fps: 8 },
      ...parameters,
    }),
    model: async (name) => {
      if (name !== undefined && name !== "vace") throw new Error("there is none");
      return { name: name ?? model, path: models[name ?? model], version: "1" };
    },
    input: async (url) => ({ file: join(folder, url), mimeType: types[url.split(".").at(-1) ?? ""] ?? "text/html" }),
    scratch: async () => scratch,
    asset: async (content) => {
      if (content instanceof Uint8Array) return;
      for (const frame of await decodeFrames(content.file, 64, 48)) values.push(...frame);
    },
    ...more,
  };
  const { metadata = {} } = await generateControlledClip({ prompt: "a lake", config }, host);
  return { metadata, values };
}

const differ = (one: Made, other: Made) => meanDifference(one.values, other.values);

describe("a clip", () => {
  it("follows a control video, its mask and pictures, and says so", async () => {
    const alone = await run({});
    expect(alone.metadata).toMatchObject({ reference_mode: "none" });
    expect(alone.metadata).not.toHaveProperty("reference_path");

    const all = { video_guide: "guide.mp4", video_mask: "mask.mp4", image_refs: ["lake.png", "lake.png"] };
    const made = await run(all);
    expect(made.metadata).toMatchObject({
      reference_mode: "none",
      reference_path: "vace",
      control_frames: 9,
      image_refs: 2,
      frame_num: 9,
    });
    expect(differ(made, alone)).toBeGreaterThan(1);
    expect(differ(await run({ ...all, video_mask: "guide.mp4" }), made)).toBeGreaterThan(0.1);
    expect(differ(await run(all, { control_scale: [0, 0] }), made)).toBeGreaterThan(1);
    // Nine frames at twice the rate are the first five of the file.
    expect((await run(all, { fps: 16 })).metadata).toMatchObject({ control_frames: 9 });
    expect((await run(all, { frame_num: 17 })).metadata).toMatchObject({ control_frames: 16, frame_num: 17 });
  });

  it("takes a mask that is a picture for all frames, and an animation as a video", async () => {
    const made = await run({ video_guide: "guide.gif", video_mask: "lake.png" }, { frame_num: 5 });
    expect(made.metadata).toMatchObject({ control_frames: 4, image_refs: 0 });
  });

  it("has frames that are given, with pictures beside them and a scale", async () => {
    const start = { first_frame: "lake.png" };
    const given = await run(start);
    expect(given.metadata).toMatchObject({ reference_mode: "start", reference_path: "vace" });
    expect(differ(await run(start, { control_scale: 0 }), given)).toBeGreaterThan(1);
    const both = await run({ ...start, image_refs: ["lake.png"] });
    expect(both.metadata).toMatchObject({ reference_mode: "start", reference_path: "vace", image_refs: 1 });
    expect(both.metadata).not.toHaveProperty("control_frames");
    expect(differ(both, given)).toBeGreaterThan(1);
    const single = await run({ image: "lake.png", image_refs: ["lake.png"] });
    expect(single.metadata).toMatchObject({ reference_mode: "single", image_refs: 2 });
  });
});

describe("is refused in a sentence, and leaves nothing behind:", () => {
  it.each<[string, ControlFiles, Parameters<typeof run>[1], string, string]>([
    [
      "a mask that is shorter",
      { video_guide: "guide.mp4", video_mask: "short.mp4" },
      {},
      "INVALID_JOB",
      "the mask ends after 8 frames, and the video goes on; send a mask for every frame",
    ],
    [
      "a mask that is longer",
      { video_guide: "short.mp4", video_mask: "mask.mp4" },
      {},
      "INVALID_JOB",
      "the video ends after 8 frames, and the mask goes on",
    ],
    ["a picture as a video", { video_guide: "lake.png" }, {}, "INPUT_INVALID", "The control video cannot be used"],
    [
      "a video as a picture",
      { image_refs: ["guide.mp4"] },
      {},
      "INPUT_INVALID",
      "The reference picture 1 cannot be used",
    ],
    [
      "pictures that are too large together",
      { image_refs: ["vast.png", "vast.png"] },
      {},
      "INPUT_TOO_LARGE",
      "The reference pictures have more than 50 million pixels together",
    ],
    [
      "scales for other layers",
      { video_guide: "guide.mp4" },
      { control_scale: [1] },
      "INVALID_JOB",
      "the control has 1 scales, and reaches 2 layers of the model",
    ],
    [
      "a model for text",
      { video_guide: "guide.mp4" },
      { model: "text" },
      "UNSUPPORTED_OPTION",
      'the model text makes clips from text, and the job gives a control video: send model_variant "vace"',
    ],
  ])("%s", async (_what, config, parameters, code, message) => {
    const scratch = mkdtempSync(join(folder, "refused-"));
    const made: unknown[] = [];
    const more = { scratch: async () => scratch, asset: async (content: unknown) => void made.push(content) };
    await expect(run(config, parameters, more)).rejects.toMatchObject({
      code,
      permanent: true,
      message: expect.stringContaining(message),
    });
    expect([made, readdirSync(scratch)]).toEqual([[], []]);
  });

  it("all of it, where a command makes the clips", async () => {
    const engine = { command: ["wan"], options: {}, environment: {}, task: "vace-14B" };
    await expect(run({ image_refs: ["lake.png"] }, {}, { engine })).rejects.toMatchObject({
      code: "UNSUPPORTED_OPTION",
      message: expect.stringContaining("config.image_refs is for models that run here, and a command makes the clips"),
    });
  });
});
