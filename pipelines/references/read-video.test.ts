import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RgbImage } from "#pipelines/images/rgb.ts";
import { findFfmpeg } from "#pipelines/video/ffmpeg-paths.ts";
import { type ReadVideoOptions, readVideo } from "./read-video.ts";

/* A corpus of clips made by ffmpeg. Each has a dark bar at its top edge on a bright field, and its frames grow brighter. */

const folder = mkdtempSync(join(tmpdir(), "clips-"));
afterAll(() => rmSync(folder, { recursive: true }));

const inFolder = (name: string) => join(folder, name);

let encoders = "";
let frameTiming = "";
beforeAll(async () => {
  const { ffmpeg } = await findFfmpeg();
  const say = async (...args: string[]) => (await promisify(execFile)(ffmpeg, ["-v", "error", ...args])).stdout;
  encoders = await say("-encoders");
  // As it was called before ffmpeg 5.1.
  frameTiming = (await say("-h", "long")).includes("-fps_mode") ? "-fps_mode" : "-vsync";
});

async function ffmpeg(...args: string[]): Promise<void> {
  await promisify(execFile)((await findFfmpeg()).ffmpeg, ["-v", "error", "-y", ...args]);
}

/** Value of the bright field in frame `index` of `count`. */
const brightness = (index: number, count: number) => 120 + Math.round((100 * index) / count);

/** Raw frames as ffmpeg's input: grey, with a bar of 20 at the top eighth. */
async function source(width: number, height: number, count: number, fps: number): Promise<string[]> {
  const frames = Array.from({ length: count }, (_, index) => {
    const frame = Buffer.alloc(width * height * 3, brightness(index, count));
    frame.fill(20, 0, width * 3 * Math.ceil(height / 8));
    return frame;
  });
  const file = inFolder(`raw-${width}-${height}-${count}-${fps}.rgb`);
  writeFileSync(file, Buffer.concat(frames));
  const form = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-video_size", `${width}x${height}`];
  return [...form, "-framerate", String(fps), "-i", file];
}

const toMatrix = ["-vf", "scale=out_color_matrix=bt709:flags=accurate_rnd", "-colorspace", "bt709"];
const lossless = ["-c:v", "libx264", "-qp", "0", "-pix_fmt", "yuv444p", ...toMatrix];
const usual = ["-c:v", "libx264", "-crf", "12", "-pix_fmt", "yuv420p", ...toMatrix];

async function clip(name: string, shape: readonly [number, number, number, number], ...options: string[]) {
  const file = inFolder(name);
  await ffmpeg(...(await source(...shape)), ...options, file);
  return file;
}

const size = { width: 64, height: 64, fps: 8, maxFrames: 100 };

async function read(file: string, options: Partial<ReadVideoOptions> = {}): Promise<RgbImage[]> {
  const frames: RgbImage[] = [];
  for await (const frame of readVideo(file, { ...size, ...options })) frames.push(frame);
  return frames;
}

/** The red values of a column of a frame, from top to bottom. */
function column(frame: RgbImage | undefined, x = 0.5): number[] {
  if (frame === undefined) throw new Error("there is no such frame");
  const { data, width, height } = frame;
  return Array.from({ length: height }, (_, y) => data[(y * width + Math.floor(x * width)) * 3] ?? -1);
}

/** Value of the field, well below the bar. */
const fieldOf = (frame: RgbImage) => column(frame)[56] ?? -1;

const refusal = (file: string, options: Partial<ReadVideoOptions> = {}) =>
  read(file, options).then(
    (frames) => `${frames.length} frames`,
    ({ code, message }) => [code, message],
  );

describe("reads", () => {
  it("every frame of a lossless clip as it was", async () => {
    const frames = await read(await clip("plain.mp4", [64, 64, 12, 8], ...lossless));
    expect(frames).toHaveLength(12);
    for (const [index, frame] of frames.entries()) {
      expect(Math.abs(fieldOf(frame) - brightness(index, 12))).toBeLessThanOrEqual(2);
      expect(Math.abs((column(frame)[2] ?? 0) - 20)).toBeLessThanOrEqual(2);
    }
  });

  it("as many frames as are wanted, and each a copy of its own", async () => {
    const frames = await read(inFolder("plain.mp4"), { maxFrames: 5 });
    expect(frames.map(fieldOf)).toHaveLength(5);
    expect(new Set(frames.map(fieldOf)).size).toBe(5);
  });

  it("half and twice the rate", async () => {
    expect(await read(inFolder("plain.mp4"), { fps: 4 })).toHaveLength(6);
    expect(await read(inFolder("plain.mp4"), { fps: 16 })).toHaveLength(24);
  });

  it.each([
    ["hevc.mp4", "libx265", ["-crf", "10", "-pix_fmt", "yuv420p", "-x265-params", "log-level=none", ...toMatrix]],
    ["vp9.webm", "libvpx-vp9", ["-crf", "10", "-b:v", "0", "-cpu-used", "8", "-deadline", "realtime", ...toMatrix]],
  ])("%s, where %s is installed", async (name, encoder, options) => {
    if (!encoders.includes(encoder)) return;
    const frames = await read(await clip(name, [64, 64, 12, 8], "-c:v", encoder, ...options));
    expect(frames).toHaveLength(12);
    for (const [index, frame] of frames.entries()) {
      expect(Math.abs(fieldOf(frame) - brightness(index, 12))).toBeLessThanOrEqual(6);
    }
  });

  it("an animated GIF", async () => {
    const frames = await read(await clip("a.gif", [64, 64, 10, 10]), { fps: 10 });
    expect(frames.length).toBeGreaterThanOrEqual(10);
    expect(fieldOf(frames[9] ?? frames[0] ?? { data: new Uint8ClampedArray(), width: 0, height: 0 })).toBeGreaterThan(
      195,
    );
  });

  it("uneven frames in even steps", async () => {
    // The first four frames last a second each, the other eight an eighth of one.
    const stamps = "setpts='if(lt(N,4),N,4+(N-4)/8)/TB'";
    const uneven = ["-vf", `${stamps},scale=out_color_matrix=bt709`, frameTiming, "vfr", "-enc_time_base", "1/1000"];
    const file = await clip("uneven.mp4", [64, 64, 12, 8], ...lossless, ...uneven);
    const values = (await read(file)).map(fieldOf);
    expect(values.length).toBeGreaterThanOrEqual(39);
    expect(values.length).toBeLessThanOrEqual(41);
    const shown = Array.from({ length: 12 }, (_, index) => {
      return values.filter((value) => Math.abs(value - brightness(index, 12)) <= 2).length;
    });
    expect(shown.slice(0, 4)).toEqual([8, 8, 8, 8]);
    expect(shown.slice(4, 11)).toEqual([1, 1, 1, 1, 1, 1, 1]);
  });

  it.each([
    [90, "left or right"],
    [180, "bottom"],
    [270, "left or right"],
  ])("a clip that a phone has turned by %i°: the bar is %s", async (degrees) => {
    const upright = await clip("upright.mp4", [96, 64, 2, 8], ...lossless);
    const file = inFolder(`turned-${degrees}.mov`);
    await ffmpeg("-i", upright, "-c", "copy", "-metadata:s:v:0", `rotate=${degrees}`, file);
    const turned = degrees === 180 ? { width: 96, height: 64 } : { width: 64, height: 96 };
    const [frame] = await read(file, turned);
    const { data = [], width = 0, height = 0 } = frame ?? {};
    const at = (x: number, y: number) => (data[(y * width + x) * 3] ?? 0) < 60;
    const dark = [at(32, 1), at(32, height - 2), at(1, 32), at(width - 2, 32)];
    // One edge, and not the upper one; a quarter turn has it at a side.
    expect(dark.filter(Boolean)).toHaveLength(1);
    expect(dark[0]).toBe(false);
    expect(dark[1]).toBe(degrees === 180);
  });

  it("odd sizes, and the middle of a wide one", async () => {
    const file = await clip("odd.mp4", [199, 101, 2, 8], ...lossless);
    const [frame] = await read(file);
    expect([frame?.width, frame?.height]).toEqual([64, 64]);
    expect(column(frame)[2]).toBeLessThan(30);
    expect(column(frame)[30]).toBeGreaterThan(110);
  });

  it("all of a wide one on a soft copy of it", async () => {
    const [frame] = await read(inFolder("odd.mp4"), { reference_fit: "contain" });
    // 64 × 32 pixels in the middle: its bar begins at row 16.
    expect(column(frame)[18]).toBeLessThan(40);
    expect(column(frame)[30]).toBeGreaterThan(110);
    expect(column(frame)[58]).toBeGreaterThan(110);
  });

  it("pixels that are not square as they are to be seen", async () => {
    const file = await clip("anamorphic.mp4", [64, 96, 2, 8], ...lossless, "-aspect", "4:3");
    // 128 × 96 when seen: a square of it has its bar. One of 64 × 96 would have none.
    const [frame] = await read(file);
    expect(column(frame)[2]).toBeLessThan(60);
    expect(column(frame)[12]).toBeGreaterThan(60);
  });

  it("a clip of one pixel", async () => {
    const file = await clip("pixel.mp4", [1, 1, 3, 8], ...lossless);
    const frames = await read(file);
    expect(frames).toHaveLength(3);
    // All of it is bar.
    expect(Math.max(...column(frames[0]))).toBeLessThan(26);
  });

  it("the colours of large pictures that name no matrix as players do", async () => {
    const file = inFolder("red.mp4");
    const red = ["-f", "lavfi", "-i", "color=c=0xd02030:s=1280x720:r=8:d=0.25"];
    const untagged = ["-vf", "scale=out_color_matrix=bt709,format=yuv420p", "-c:v", "libx264", "-preset", "ultrafast"];
    await ffmpeg(...red, ...untagged, file);
    const [frame] = await read(file);
    const [r = 0, g = 0, b = 0] = frame?.data.subarray(0, 3) ?? [];
    expect(Math.max(Math.abs(r - 0xd0), Math.abs(g - 0x20), Math.abs(b - 0x30))).toBeLessThanOrEqual(4);
  });

  it("the beginning of a long file without the rest, in bounded memory", async () => {
    const file = await clip("long.mp4", [640, 360, 8, 8], ...usual, "-preset", "ultrafast");
    const before = process.memoryUsage().rss;
    const frames = await read(file, { width: 640, height: 352, maxFrames: 3 });
    expect(frames).toHaveLength(3);
    expect(process.memoryUsage().rss - before).toBeLessThan(100e6);
  });
});

describe("refuses", () => {
  it.each([
    ["a.txt", "waves on a pebble beach"],
    ["list.m3u8", `#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nplain.mp4\n#EXT-X-ENDLIST\n`],
    ["list.ffconcat", "ffconcat version 1.0\nfile plain.mp4\n"],
    ["page.mp4", "<!doctype html><title>Not found</title>"],
  ])("%s in a sentence, and opens nothing that it names", async (name, content) => {
    writeFileSync(inFolder(name), content);
    expect(await refusal(inFolder(name), { what: "control video" })).toEqual([
      "INPUT_INVALID",
      "The control video cannot be used: it is no video, or its header is damaged. Send an MP4, MOV or WebM, or an animated GIF.",
    ]);
  });

  it("a picture, and a file of sound alone", async () => {
    const picture = inFolder("a.png");
    await sharp({ create: { width: 8, height: 8, channels: 3, background: "red" } })
      .png()
      .toFile(picture);
    expect(await refusal(picture)).toMatchObject(["INPUT_INVALID", expect.stringContaining("it is no video")]);
    const sound = inFolder("sound.mp4");
    await ffmpeg("-f", "lavfi", "-i", "sine=d=0.2", "-c:a", "aac", sound);
    expect(await refusal(sound)).toMatchObject(["INPUT_INVALID", expect.stringContaining("there is no video in it")]);
  });

  it("three hours", async () => {
    const file = inFolder("hours.mp4");
    const seconds = 3 * 3600;
    await ffmpeg(
      "-f",
      "lavfi",
      "-i",
      `color=s=16x16:r=1/60:d=${seconds}`,
      "-c:v",
      "libx264",
      "-preset",
      "ultrafast",
      file,
    );
    expect(await refusal(file)).toEqual([
      "INPUT_TOO_LARGE",
      "The reference video lasts 3 hours; at most 10 minutes are read: send the part that is meant.",
    ]);
  });

  it("frames of more pixels than are decoded, and those that are all length", async () => {
    const large = inFolder("large.mp4");
    const one = ["-frames:v", "1", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"];
    await ffmpeg("-f", "lavfi", "-i", "color=s=4200x2304:r=1", ...one, large);
    expect(await refusal(large)).toEqual([
      "INPUT_TOO_LARGE",
      "The reference video has frames of 4200 × 2304 pixels; at most as many as 4096 × 2304 has are read: send a smaller one.",
    ]);
    const flat = inFolder("flat.mp4");
    await ffmpeg("-f", "lavfi", "-i", "color=s=4000x10:r=1", ...one, flat);
    expect(await refusal(flat)).toMatchObject([
      "INPUT_INVALID",
      expect.stringContaining("it has 4000 × 10 pixels. Send one whose longer side is at most 20 times the other."),
    ]);
  });

  it("a file that was cut off, before its header and after it", async () => {
    const late = inFolder("late.mp4");
    writeFileSync(late, readFileSync(inFolder("long.mp4")));
    truncateSync(late, 3000);
    expect(await refusal(late)).toMatchObject(["INPUT_INVALID", expect.stringContaining("its header is damaged")]);
    const early = await clip("early.mp4", [64, 64, 40, 8], ...lossless, "-movflags", "+faststart", "-g", "1");
    truncateSync(early, Math.round(readFileSync(early).length * 0.6));
    expect(await refusal(early)).toMatchObject([
      "INPUT_INVALID",
      expect.stringMatching(/its frames cannot be read after \d+ frames: the file is damaged/),
    ]);
    // What comes before the damage is whole.
    expect(await read(early, { maxFrames: 9 })).toHaveLength(9);
  });

  it("what takes too long to decode", async () => {
    expect(await refusal(inFolder("long.mp4"), { timeoutMs: 0 })).toMatchObject([
      "INPUT_TOO_LARGE",
      expect.stringContaining("is not decoded within 0 s (0 frames of 100)"),
    ]);
  });
});

describe("ends ffmpeg", () => {
  /** An endless clip of large frames: ffmpeg waits for its reader after the first. */
  const endless = async () => clip("endless.mp4", [320, 180, 300, 60], ...usual, "-preset", "ultrafast");
  const large = { width: 1280, height: 720, fps: 60, maxFrames: 300 };

  /** Processes of this machine that read the file. */
  const readers = async (file: string) => {
    const { stdout } = await promisify(execFile)("ps", ["-eo", "args"]);
    return stdout.split("\n").filter((line) => line.includes(`file:${file}`) && line.includes("rawvideo")).length;
  };

  it("when no more frames are taken", async () => {
    const file = await endless();
    const frames = readVideo(file, { ...size, ...large });
    await frames.next();
    expect(await readers(file)).toBe(1);
    await frames.return();
    expect(await readers(file)).toBe(0);
  });

  it("on the signal, and throws its reason", async () => {
    const file = inFolder("endless.mp4");
    const abort = new AbortController();
    const frames = readVideo(file, { ...size, ...large, signal: abort.signal });
    await frames.next();
    abort.abort(new Error("cancelled"));
    await expect(frames.next()).rejects.toThrow("cancelled");
    expect(await readers(file)).toBe(0);
  });
});
