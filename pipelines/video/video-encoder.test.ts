import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import sharp from "sharp";
import { afterAll, describe, expect, it } from "vitest";
import { findFfmpeg } from "./ffmpeg-paths.ts";
import { decodeFrames, psnr, shapesFrame } from "./testing/clips.ts";
import { openVideoEncoder, type VideoEncoderOptions, type VideoFile } from "./video-encoder.ts";

const folder = mkdtempSync(join(tmpdir(), "video-"));
afterAll(() => rmSync(folder, { recursive: true }));

let clips = 0;

type Options = Partial<VideoEncoderOptions> & { readonly width: number; readonly height: number };

async function encode(frames: readonly Uint8Array[], options: Options): Promise<VideoFile> {
  const path = join(folder, `${clips++}.${options.container ?? "mp4"}`);
  const encoder = await openVideoEncoder({ path, fps: 16, encoder: "cpu", ...options });
  for (const frame of frames) await encoder.write(frame);
  return await encoder.finish();
}

const shapes = (frames: number, width: number, height: number) =>
  Array.from({ length: frames }, (_, index) => shapesFrame(index, width, height));

describe("MP4", () => {
  it.each([1, 5, 17, 81])("has %i frames and lasts exactly as long as they do", async (frames) => {
    const file = await encode(shapes(frames, 96, 64), { width: 96, height: 64 });
    expect(file).toMatchObject({ frames, width: 96, height: 64, fps: 16, codec: "h264", encoder: "libx264" });
    expect(file.durationSeconds).toBeCloseTo(frames / 16, 6);
    expect(await decodeFrames(file.path, 96, 64)).toHaveLength(frames);
  });

  it.each([
    [480, 832],
    [64, 64],
  ])(
    "is within 38 dB of the frames of %i×%i, and 4:2:0, BT.709, playable while it is loaded",
    async (width, height) => {
      const frames = shapes(17, width, height);
      const { path } = await encode(frames, { width, height });
      expect(psnr(frames, await decodeFrames(path, width, height))).toBeGreaterThan(38);
      const tags = await stream(path);
      expect(tags).toMatchObject({ pix_fmt: "yuv420p", color_range: "tv", color_space: "bt709" });
      expect(tags).toMatchObject({ color_primaries: "bt709", color_transfer: "bt709" });
      const bytes = readFileSync(path).toString("latin1");
      expect(bytes.indexOf("moov")).toBeLessThan(bytes.indexOf("mdat"));
    },
  );

  it("keeps a grey ramp grey, and pure colours as they are", async () => {
    const [width, height] = [256, 64];
    const ramp = Uint8Array.from({ length: width * height * 3 }, (_, at) => Math.floor(at / 3) % width);
    const colors = [
      [255, 0, 0],
      [0, 255, 0],
      [0, 0, 255],
      [255, 255, 255],
      [0, 0, 0],
    ].map((color) => Uint8Array.from({ length: width * height * 3 }, (_, at) => color[at % 3] ?? 0));
    const frames = [ramp, ...colors];
    const { path } = await encode(frames, { width, height, fps: 1 });
    const decoded = await decodeFrames(path, width, height);
    const worst = frames.map((frame, index) =>
      frame.reduce((max, value, at) => Math.max(max, Math.abs(value - (decoded[index]?.[at] ?? 999))), 0),
    );
    expect(Math.max(...worst)).toBeLessThanOrEqual(3);
  });

  it("repeats the last column and row of an odd size", async () => {
    const frames = shapes(5, 63, 47);
    const file = await encode(frames, { width: 63, height: 47 });
    expect(file).toMatchObject({ width: 64, height: 48, frames: 5 });
    const [decoded = new Uint8Array()] = await decodeFrames(file.path, 64, 48);
    const [x, y] = [63, 47];
    for (let color = 0; color < 3; color++)
      expect(
        Math.abs((decoded[(y * 64 + x) * 3 + color] ?? 0) - (frames[0]?.[(46 * 63 + 62) * 3 + color] ?? 999)),
      ).toBeLessThan(8);
  });
});

describe("other containers", () => {
  it.each([
    ["AV1, or VP9 where ffmpeg lacks that", 96, ["libsvtav1", "libvpx-vp9"]],
    ["VP9, which alone takes so few pixels", 48, ["libvpx-vp9"]],
  ])("WebM with %s: %i pixels", async (_codec, edge, encoders) => {
    const frames = shapes(17, edge, edge);
    const file = await encode(frames, { width: edge, height: edge, container: "webm" });
    expect(file.frames).toBe(17);
    expect(encoders).toContain(file.encoder);
    expect(psnr(frames, await decodeFrames(file.path, edge, edge))).toBeGreaterThan(35);
  });

  it("animated WebP, of odd sizes too", async () => {
    const frames = shapes(9, 63, 47);
    const file = await encode(frames, { width: 63, height: 47, container: "webp" });
    expect(file).toMatchObject({ frames: 9, width: 63, height: 47, codec: "webp" });
    const raw = await sharp(file.path, { animated: true }).removeAlpha().raw().toBuffer();
    const size = 63 * 47 * 3;
    expect(
      psnr(
        frames,
        frames.map((_, index) => raw.subarray(index * size, (index + 1) * size)),
      ),
    ).toBeGreaterThan(32);
  });
});

async function stream(path: string): Promise<unknown> {
  const { ffprobe } = await findFfmpeg();
  const { stdout } = await promisify(execFile)(ffprobe, ["-v", "error", "-show_streams", "-of", "json", path]);
  return JSON.parse(stdout).streams[0];
}
