import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { copyImageWan } from "#pipelines/testing/random-wan.ts";
import { findFfmpeg } from "#pipelines/video/ffmpeg-paths.ts";
import { copyVaceModel } from "#pipelines/wan/testing/vace-cases.ts";
import { startTestRuntime, type TestRuntime } from "./support/runtime.ts";
import { type CallbackServer, startCallbackServer } from "./support/supabase/callback-server.ts";

/* Clips from pictures in a whole container: the handlers that ship, tiny-wan, and random models of each other kind. */

vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 });

const inProject = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const models = mkdtempSync(join(tmpdir(), "models-"));
let runtime: TestRuntime;
let app: CallbackServer;
let host: string;
let files: Readonly<Record<string, Uint8Array>>;
const server = createServer((request, response) => {
  const file = files[(request.url ?? "").slice(1)];
  if (file === undefined) response.writeHead(404).end();
  else response.writeHead(200).end(file);
});

beforeAll(async () => {
  const plain = (width: number, height: number, background: string) =>
    sharp({ create: { width, height, channels: 3, background }, limitInputPixels: false })
      .png()
      .toBuffer();
  const { ffmpeg } = await findFfmpeg();
  const video = async (source: string) => {
    const file = join(models, "clip.mp4");
    const options = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"];
    await promisify(execFile)(ffmpeg, ["-v", "error", "-y", "-f", "lavfi", "-i", source, ...options, file]);
    const bytes = readFileSync(file);
    rmSync(file);
    return bytes;
  };
  files = {
    "blue.png": await plain(96, 64, "#2060c0"),
    "red.png": await plain(64, 96, "#c03020"),
    "clip.mp4": await video("color=c=red:s=64x64:r=8:d=1"),
    "3-hours.mp4": await video("color=c=red:s=16x16:r=1/60:d=10800"),
    "60-megapixels.png": await plain(7746, 7746, "white"),
    "page.png": Buffer.from("<!doctype html><title>Not found</title>"),
    "cut.png": (await plain(300, 200, "red")).subarray(0, 200),
  };
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  host = `127.0.0.1:${address.port}`;
  symlinkSync(inProject("models/tiny-wan"), join(models, "wan"));
  for (const name of ["i2v", "flf2v"] as const) renameSync(copyImageWan(name), join(models, name));
  symlinkSync(inProject("pipelines/wan/fixtures/random-wan-2"), join(models, "t2v_2_2"));
  renameSync(copyVaceModel("vace"), join(models, "vace"));
  app = await startCallbackServer();
  runtime = await startTestRuntime({
    HANDLERS_DIR: inProject("handlers"),
    MODELS_DIR: models,
    WORKERS: "wan",
    INPUT_HOSTS_ALLOWED: host,
    CALLBACK_URL: app.url,
    JOB_CALLBACK_SECRET: app.secret,
  });
});
afterAll(async () => {
  await runtime.stop();
  await runtime.remove();
  await app.close();
  rmSync(models, { recursive: true });
  server.closeAllConnections();
  server.close();
});

const url = (name: string) => `http://${host}/${name}`;

type Fields = Record<string, unknown>;

const small = { width: 64, height: 64, steps: 3, guidance_scale: 1, frame_num: 9, seed: 1 };

async function make(type: string, config: Fields, metadata: Fields = {}, fields: Fields = {}) {
  const job = { prompt: "a red apple moves left", metadata, user_id: "ann", ...fields };
  return runtime.ended(await runtime.submit(type, { ...small, ...config }, job));
}

/** The bytes of the only file of a job. */
function fileOf(type: string, id: string): Uint8Array {
  const folder = join(runtime.folder, "files", type, "ann", id);
  const [name = ""] = readdirSync(folder).filter((each) => /^0\.(?!thumb)/.test(each));
  return readFileSync(join(folder, name));
}

const blue = () => url("blue.png");
const red = () => url("red.png");

describe("a text-to-video model", () => {
  it.each<[string, () => Fields, () => Fields]>([
    ["single", () => ({ image: blue() }), () => ({})],
    ["start", () => ({}), () => ({ start_reference_url: blue() })],
    ["end", () => ({ last_frame: blue() }), () => ({})],
    ["both", () => ({ first_frame: blue() }), () => ({ end_reference_url: red() })],
  ])("is held to pictures in the mode %s, which the callback reports", async (mode, config, metadata) => {
    const record = await make("video_fast", config(), metadata());
    const reported = { reference_mode: mode, reference_path: "anchor", reference_strength: 0.85, ignored: [] };
    expect(record).toMatchObject({ status: "completed", result: { metadata: reported } });
    const called = () =>
      app.arrived
        .map(({ callback }) => callback)
        .find(({ job_id, status }) => job_id === record.job.id && status === "completed");
    await expect.poll(called).toMatchObject({ metadata: reported });
  });

  it("makes the same clip of the same seed, and of a strength of 0 the one without", async () => {
    const start = { first_frame: blue() };
    const made = await Promise.all([
      make("video_fast", start),
      make("video_fast", start),
      make("video_fast", start, { reference_strength: 0 }),
      make("video_fast", {}),
    ]);
    const [once, again, atZero, without] = made.map(({ job }) => fileOf("video_fast", job.id));
    expect(again).toEqual(once);
    expect(atZero).toEqual(without);
    expect(once).not.toEqual(without);
  });

  it("makes a picture of a picture, and says what plays no part", async () => {
    const record = await make("image_fast", { image: blue(), frame_num: 1 }, { reference_image_url: red() });
    const reported = { reference_mode: "single", reference_path: "anchor", ignored: ["metadata.reference_image_url"] };
    expect(record).toMatchObject({ status: "completed", result: { metadata: reported } });
    const [r = 0, , b = 0] = (await sharp(fileOf("image_fast", record.job.id)).resize(1, 1).raw().toBuffer()).subarray(
      0,
      3,
    );
    expect(b - r).toBeGreaterThan(60);
  });

  it("is guided by the strength, where neither job nor model has a guidance", async () => {
    const { guidance_scale: _, ...config } = { ...small, first_frame: blue(), frame_num: 5, steps: 1 };
    const guided = async (model_variant: string) =>
      (await runtime.ended(await runtime.submit("video_fast", config, { model_variant }))).result?.metadata;
    expect(await guided("vace")).toMatchObject({ guidance_scale: 8.4 });
    expect(await guided("wan")).toMatchObject({ guidance_scale: 2 });
  });
});

describe("other weights", () => {
  it.each<[string, string, string, () => Fields, Fields]>([
    ["t2v_22", "both", "anchor", () => ({ first_frame: blue(), last_frame: red() }), {}],
    ["i2v", "single", "i2v", () => ({ image: blue() }), {}],
    ["i2v", "start", "i2v", () => ({ first_frame: blue() }), {}],
    ["flf2v", "both", "flf2v", () => ({ first_frame: blue(), last_frame: red() }), {}],
    ["video_fast", "single", "vace", () => ({ image: blue() }), { model_variant: "vace" }],
    ["video_fast", "end", "vace", () => ({ last_frame: blue() }), { model_variant: "vace" }],
    ["video_high", "start", "i2v", () => ({ first_frame: blue() }), { model_variant: "i2v" }],
  ])("of a job of the type %s take the mode %s by the way %s", async (type, mode, path, config, fields) => {
    const record = await make(type, config(), {}, fields);
    const metadata = { reference_mode: mode, reference_path: path, ignored: [] };
    expect(record).toMatchObject({ status: "completed", result: { metadata } });
  });

  it("list a strength that changes nothing", async () => {
    const record = await make("i2v", { image: blue() }, { reference_strength: 0.3 });
    expect(record.result?.metadata).toMatchObject({ ignored: ["metadata.reference_strength"] });
  });
});

describe("ends the job at once, with a code and a sentence, and nothing half-written:", () => {
  const unusable = /^The (first frame|reference picture) cannot be used: .*\. Send a PNG, JPEG, WebP or GIF\.$/;

  it.each<[string, string, () => Fields, Fields, string, RegExp]>([
    ["no such picture", "video_fast", () => ({ image: url("none.png") }), {}, "INPUT_NOT_FOUND", /404/],
    ["a page", "video_fast", () => ({ first_frame: url("page.png") }), {}, "INPUT_INVALID", /PNG, JPEG, WebP/],
    ["a cut picture", "video_fast", () => ({ image: url("cut.png") }), {}, "INPUT_INVALID", unusable],
    ["a video", "video_fast", () => ({ first_frame: url("clip.mp4") }), {}, "INPUT_INVALID", unusable],
    [
      "a control video of three hours",
      "vace",
      () => ({ video_guide: url("3-hours.mp4"), frame_num: 17 }),
      { model_variant: "vace" },
      "INPUT_TOO_LARGE",
      /^The control video lasts 3 hours; at most 10 minutes are read: send the part that is meant\.$/,
    ],
    [
      "60 megapixels",
      "video_fast",
      () => ({ last_frame: url("60-megapixels.png") }),
      {},
      "INPUT_TOO_LARGE",
      /^The picture of config\.last_frame has 7746 × 7746 pixels; at most 50 million are read/,
    ],
    [
      "a last frame alone on image-to-video weights",
      "video_fast",
      () => ({ last_frame: blue() }),
      { model_variant: "i2v" },
      "UNSUPPORTED_OPTION",
      /^the model i2v begins its clips with a picture, and the job gives a last frame alone: send model_variant "vace"/,
    ],
    [
      "a task of other weights",
      "video_fast",
      () => ({ task: "flf2v-14B", first_frame: blue(), last_frame: red() }),
      {},
      "UNSUPPORTED_OPTION",
      /^task "flf2v-14B" is none of the model wan, which makes clips from text: leave the task out, or send model_variant "flf2v"/,
    ],
    [
      "no picture for weights that need one",
      "video_fast",
      () => ({}),
      { model_variant: "i2v" },
      "INVALID_JOB",
      /^the model i2v begins its clips with a picture, and the job has no such picture/,
    ],
    [
      "a strength of 1.5",
      "video_fast",
      () => ({ image: blue() }),
      { metadata: { reference_strength: 1.5 } },
      "INVALID_JOB",
      /metadata\.reference_strength is 1\.5: must be a number from 0 to 1/,
    ],
    [
      "a file that another user has uploaded",
      "video_fast",
      () => ({ image: `input:${"0".repeat(64)}` }),
      {},
      "INPUT_NOT_FOUND",
      /uploaded/,
    ],
  ])("%s", async (_what, type, config, fields, code, message) => {
    const record = await make(type, config(), {}, fields);
    expect(record).toMatchObject({ status: "failed", attempt: 1, error: { code } });
    expect(record.error?.message).toMatch(message);
    expect(record.error?.message.split("\n")).toHaveLength(1);
    expect(
      readdirSync(join(runtime.folder, "work"), { recursive: true }).filter((name) =>
        String(name).includes(record.job.id),
      ),
    ).toEqual([]);
  });

  it("a picture of another user", async () => {
    const content = (async function* () {
      yield files["blue.png"] ?? new Uint8Array();
    })();
    const { upload } = await runtime.uploads.add({ userId: "ben", content, signal: new AbortController().signal });
    const image = `input:${upload.sha256}`;
    expect(await make("video_fast", { image })).toMatchObject({ status: "failed", error: { code: "INPUT_NOT_FOUND" } });
    expect(await make("video_fast", { image }, {}, { user_id: "ben" })).toMatchObject({ status: "completed" });
  });
});
