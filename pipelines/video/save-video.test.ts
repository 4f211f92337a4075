import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, expect, it } from "vitest";
import type { VideoHost } from "#pipelines/core/host.ts";
import type { RgbImage } from "#pipelines/images/rgb.ts";
import { openVideoAsset, type VideoAssetOptions } from "./save-video.ts";
import { decodeFrames, psnr, shapesFrame } from "./testing/clips.ts";

const folder = mkdtempSync(join(tmpdir(), "video-assets-"));
afterAll(() => rmSync(folder, { recursive: true }));

const [width, height] = [96, 64];

interface Kept {
  readonly content: Uint8Array | { readonly file: string };
  readonly options: Parameters<VideoHost["asset"]>[1];
}

function collectingHost(signal = new AbortController().signal): { readonly host: VideoHost; readonly assets: Kept[] } {
  const assets: Kept[] = [];
  const host: VideoHost = {
    signal,
    log: { info() {}, warn() {} },
    progress() {},
    parameters: async () => ({}),
    model: async () => ({ name: "none", path: folder, version: "1" }),
    scratch: async () => mkdtempSync(join(folder, "scratch-")),
    asset: async (content, options) => void assets.push({ content, options }),
  };
  return { host, assets };
}

const frame = (index: number): RgbImage => ({
  data: new Uint8ClampedArray(shapesFrame(index, width, height)),
  width,
  height,
});

async function save(options: Partial<VideoAssetOptions>, frames = 9) {
  const { host, assets } = collectingHost();
  const video = await openVideoAsset(host, { width, height, frames, fps: 16, encoder: "cpu", ...options });
  for (let index = 0; index < frames; index++) await video.add(frame(index));
  return { file: await video.finish({ seed: 7 }), assets };
}

/** How far a picture is from a frame, in decibels. */
async function likeness(bytes: Uint8Array, index: number): Promise<number> {
  const pixels = await sharp(bytes).resize(width, height).removeAlpha().raw().toBuffer();
  return psnr([pixels], [shapesFrame(index, width, height)]);
}

it("hands over the file with the middle frame as its thumbnail, and what it is", async () => {
  const { file, assets } = await save({});
  const [asset] = assets;
  expect(assets).toHaveLength(1);
  expect(asset?.options).toMatchObject({ type: "video", extension: "mp4", mimeType: "video/mp4" });
  expect(asset?.options.metadata).toEqual({
    ...{ seed: 7, width, height, frames: 9, fps: 16, duration: 0.5625, codec: "h264", encoder: "libx264" },
  });
  expect(asset?.content).toEqual({ file: file.path });
  expect(await decodeFrames(file.path, width, height)).toHaveLength(9);
  const thumbnail = asset?.options.thumbnail.bytes ?? new Uint8Array();
  const likenesses = await Promise.all([0, 4, 8].map((index) => likeness(thumbnail, index)));
  expect(Math.max(...likenesses)).toBe(likenesses[1]);
  expect(likenesses[1]).toBeGreaterThan(30);
});

it("hands over a poster and a contact sheet on request", async () => {
  const { assets } = await save({ poster: true, contactSheet: true });
  expect(assets.map(({ options }) => options.metadata.role)).toEqual([undefined, "poster", "contact_sheet"]);
  const [, poster, sheet] = assets.map(({ content }) => (content instanceof Uint8Array ? content : new Uint8Array()));
  expect(await likeness(poster ?? new Uint8Array(), 0)).toBeGreaterThan(30);
  expect(await sharp(sheet).metadata()).toMatchObject({ format: "webp", width: 4 * 100 + 4, height: 2 * 68 + 4 });
  const last = await sharp(sheet).extract({ left: 304, top: 72, width, height }).toBuffer();
  expect(await likeness(last, 8)).toBeGreaterThan(28);
});

it("gives poster and contact sheet their size, and thumbnails as small as the video's", async () => {
  const { host, assets } = collectingHost();
  const [large, tall] = [640, 320];
  const video = await openVideoAsset(host, {
    width: large,
    height: tall,
    frames: 8,
    fps: 16,
    poster: true,
    contactSheet: true,
  });
  for (let index = 0; index < 8; index++) {
    await video.add({ data: new Uint8ClampedArray(shapesFrame(index, large, tall)), width: large, height: tall });
  }
  await video.finish({ seed: 7 });
  const [, poster, sheet] = assets.map(({ options }) => options.metadata);
  expect(poster).toEqual({ seed: 7, role: "poster", width: 640, height: 320 });
  expect(sheet).toEqual({ seed: 7, role: "contact_sheet", width: 4 * 260 + 4, height: 2 * 132 + 4 });
  const edges = assets.map(async ({ options }) => {
    const { width: across = 0, height: down = 0, format } = await sharp(options.thumbnail.bytes).metadata();
    return { format, across, down };
  });
  expect(await Promise.all(edges)).toEqual([
    { format: "webp", across: 256, down: 128 },
    { format: "webp", across: 256, down: 128 },
    { format: "webp", across: 256, down: 66 },
  ]);
});

it.each([
  ["webm", "video", "video/webm"],
  ["webp", "image", "image/webp"],
] as const)("hands over %s as an %s of type %s", async (container, type, mimeType) => {
  const { assets } = await save({ container });
  expect(assets[0]?.options).toMatchObject({ type, mimeType, extension: container });
});

it("one frame is a video too", async () => {
  expect((await save({}, 1)).assets[0]?.options.metadata).toMatchObject({ frames: 1, duration: 0.0625 });
});

it("hands over nothing when frames are missing, or of another size", async () => {
  const { host, assets } = collectingHost();
  const video = await openVideoAsset(host, { width, height, frames: 9, fps: 16 });
  await video.add(frame(0));
  await expect(video.add({ ...frame(0), width: 95 })).rejects.toThrow("frame 1 is 95×64 instead of 96×64");
  await expect(video.finish({})).rejects.toThrow("frames instead of 9");
  expect(assets).toEqual([]);
  for (const scratch of readdirSync(folder).filter((name) => name.startsWith("scratch-")))
    expect(readdirSync(join(folder, scratch)).filter((name) => name.endsWith(".part"))).toEqual([]);
});

it("leaves nothing behind when the job is cancelled while frames are added", async () => {
  const controller = new AbortController();
  const { host, assets } = collectingHost(controller.signal);
  const scratch = await host.scratch();
  const video = await openVideoAsset({ ...host, scratch: async () => scratch }, { width, height, frames: 9, fps: 16 });
  await video.add(frame(0));
  controller.abort(new Error("cancelled"));
  await expect(video.add(frame(1))).rejects.toThrow("cancelled");
  await video.abort();
  expect(existsSync(scratch)).toBe(true);
  expect(readdirSync(scratch)).toEqual([]);
  expect(assets).toEqual([]);
});
