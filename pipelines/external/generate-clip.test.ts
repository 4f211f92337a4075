import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { afterAll, describe, expect, it } from "vitest";
import type { CommandEngine, VideoHost } from "#pipelines/core/host.ts";
import { type ExternalClip, generateByCommand } from "./generate-clip.ts";

/* A command that behaves as the classic command line, and each way in which one does not. */

const script = fileURLToPath(new URL("../../test/support/wan-command.mjs", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "ourvidz-external-"));
afterAll(() => rmSync(folder, { recursive: true }));

const names = [
  ...["task", "ckpt_dir", "size", "frame_num", "sample_steps", "sample_guide_scale", "sample_solver", "sample_shift"],
  ...["base_seed", "prompt", "save_file", "image", "first_frame", "last_frame"],
];

function engine(behaviour: string, more: Partial<CommandEngine> = {}): CommandEngine {
  const record = join(mkdtempSync(join(folder, "record-")), "runs.jsonl");
  return {
    command: [process.execPath, script, `--behaviour=${behaviour}`, `--record=${record}`],
    options: Object.fromEntries(names.map((name) => [name, []])),
    environment: { PATH: process.env.PATH ?? "", LANG: "C" },
    task: "t2v-1.3B",
    ...more,
  };
}

interface Run {
  readonly pid: number;
  readonly children: readonly number[];
  readonly arguments: Readonly<Record<string, string>>;
  readonly environment: Readonly<Record<string, string>>;
}

function recorded({ command }: CommandEngine): Run | undefined {
  const file = command.at(-1)?.split("=")[1] ?? "";
  const [line = ""] = existsSync(file) ? readFileSync(file, "utf8").trim().split("\n") : [];
  return line === "" ? undefined : JSON.parse(line);
}

const clip: ExternalClip = {
  prompt: "a lighthouse at dawn",
  seed: 11,
  width: 64,
  height: 96,
  num_inference_steps: 3,
  guidance_scale: 5,
  frames: 9,
  framesRequested: 9,
  fps: 16,
  ignored: [],
};

function collecting(signal = new AbortController().signal) {
  const scratch = mkdtempSync(join(folder, "scratch-"));
  const assets: { readonly bytes: Uint8Array; readonly options: Parameters<VideoHost["asset"]>[1] }[] = [];
  const steps: string[] = [];
  const logs: Readonly<Record<string, unknown>>[] = [];
  const host: VideoHost = {
    signal,
    log: { info: (fields) => void logs.push(fields), warn() {} },
    progress: (step, total) => void steps.push(`${step}/${total}`),
    parameters: async () => ({}),
    model: () => Promise.reject(new Error("no model is expected to be looked for")),
    scratch: async () => scratch,
    asset: async (content, options) => {
      assets.push({ bytes: content instanceof Uint8Array ? content : readFileSync(content.file), options });
    },
  };
  return { host, scratch, assets, steps, logs };
}

describe("a command that does as it should", () => {
  it("has its own file handed over, with thumbnail and what is asked for beside it", async () => {
    const { host, scratch, assets, steps } = collecting();
    const own = engine("well");
    const { metadata } = await generateByCommand(own, { ...clip, poster: true, contactSheet: true }, host);
    const facts = { frames: 9, width: 64, height: 96, fps: 16, codec: "h264", encoder: "external", seed: 11 };
    expect(assets.map(({ options }) => options)).toMatchObject([
      { type: "video", extension: "mp4", metadata: facts },
      { type: "image", metadata: { role: "poster", width: 64, height: 96 } },
      { type: "image", metadata: { role: "contact_sheet" } },
    ]);
    const [runFolder = ""] = readdirSync(scratch);
    expect(assets[0]?.bytes).toEqual(readFileSync(join(scratch, runFolder, "clip.mp4")));
    expect(steps).toEqual(["0/3", "1/3", "2/3", "3/3"]);
    expect(metadata).toMatchObject({ engine: "process", wan_task: "t2v-1.3B", frame_num: 9, duration: 0.5625 });
    expect(recorded(own)?.environment).toEqual({ PATH: process.env.PATH, LANG: "C" });
  });

  it.each([
    ["another format", { container: "webm" }, { codec: /av1|vp9/, frames: 9, fps: 16 }],
    ["another quality", { crf: 30 }, { codec: /h264/, frames: 9, fps: 16 }],
    ["another rate", { fps: 8 }, { codec: /h264/, frames: 9, fps: 8 }],
    ["fewer frames than the model makes", { frames: 7, framesRequested: 7 }, { codec: /h264/, frames: 7, fps: 16 }],
  ] as const)("has its frames encoded again for %s", async (_what, more, { codec, ...facts }) => {
    const { host, assets } = collecting();
    await generateByCommand(engine("well"), { ...clip, ...more }, host);
    const { metadata } = assets[0]?.options ?? {};
    expect(metadata).toMatchObject({ ...facts, codec: expect.stringMatching(codec) });
    expect(metadata?.encoder).not.toBe("external");
  });

  it.each(["t2v-1.3B", "t2i-14B"])("makes one frame a PNG: %s", async (task) => {
    const { host, assets } = collecting();
    const { metadata } = await generateByCommand(
      engine("well", { task }),
      { ...clip, frames: 1, framesRequested: 1 },
      host,
    );
    expect(assets).toMatchObject([
      { options: { type: "image", extension: "png", metadata: { width: 64, height: 96 } } },
    ]);
    expect(await sharp(assets[0]?.bytes).metadata()).toMatchObject({ format: "png", width: 64, height: 96 });
    expect(metadata).toMatchObject({ content_type: "image", frame_num: 1 });
  });

  it("may print as much as it likes", async () => {
    const { host, assets, logs } = collecting();
    await generateByCommand(engine("floods"), clip, host);
    expect(assets).toHaveLength(1);
    const [{ lines } = { lines: [] }] = logs;
    expect(JSON.stringify(lines).length).toBeLessThan(20_000);
  });
});

describe("a command that does not", () => {
  it.each([
    ["nothing", "ENGINE_FAILED", /ended well, but there is no file in --save_file/],
    ["empty", "ENGINE_FAILED", /left an empty file/],
    ["stale", "ENGINE_FAILED", /is not of this run/],
    ["link", "ENGINE_FAILED", /no regular file/],
    ["short", "ENGINE_FAILED", /frames 5 instead of 9/],
    ["small", "ENGINE_FAILED", /width 32 instead of 64, height 48 instead of 96/],
    ["garbage", "ENGINE_FAILED", /no video that can be read/],
    ["cut_off", "ENGINE_FAILED", /frames \d instead of 9/],
    ["damaged", "ENGINE_FAILED", /file cannot be decoded/],
    ["fails", "ENGINE_FAILED", /ended with code 1: .*KeyError: 'blocks\.0'$/],
    ["dies", "ENGINE_FAILED", /was killed by SIGKILL \(often by the system, for want of memory\)/],
    ["out_of_memory", "OUT_OF_MEMORY", /Tried to allocate 20\.00 GiB/],
  ])("%s is %s, and nothing is handed over", async (behaviour, code, message) => {
    const { host, assets } = collecting();
    const failure = { code, message: expect.stringMatching(message), permanent: false };
    await expect(generateByCommand(engine(behaviour), clip, host)).rejects.toMatchObject(failure);
    expect(assets).toEqual([]);
  });

  it("is missing is a condition of the machine", async () => {
    const missing = engine("well", { command: [join(folder, "nowhere")] });
    await expect(generateByCommand(missing, clip, collecting().host)).rejects.toMatchObject({
      code: "ENGINE_UNAVAILABLE",
    });
  });

  it("is stopped when its time is over", async () => {
    const own = engine("hangs", { timeoutSeconds: 0.5 });
    const failure = { code: "ENGINE_FAILED", message: expect.stringMatching(/^The command was stopped after 0\.5 s/) };
    await expect(generateByCommand(own, clip, collecting().host)).rejects.toMatchObject(failure);
  });
});
