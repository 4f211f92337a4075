import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ComponentSet } from "#pipelines/core/component-set.ts";
import { concat, type Tensor } from "#pipelines/core/tensor.ts";
import { frameOf } from "#pipelines/diffusion/video-frames.ts";
import type { RgbImage } from "#pipelines/images/rgb.ts";
import { maxDifference, meanDifference } from "#pipelines/testing/compare.ts";
import { formulaPicture } from "#pipelines/testing/formula-picture.ts";
import { randomWans } from "#pipelines/testing/random-wan.ts";
import { readSafetensors } from "#pipelines/testing/safetensors.ts";
import { chunkOf, encodeByTiles, encodeVideo, VideoEncoder } from "./encode-video.ts";
import { readModelFolder, type WanModelFolder } from "./model-folder.ts";

const reference = readSafetensors(new URL("fixtures/i2v/encoded-clips.safetensors", import.meta.url));

let model: WanModelFolder;
let components: ComponentSet;
beforeAll(async () => {
  model = await readModelFolder(randomWans["random-wan"]);
  components = new ComponentSet(model.path, { executionProvider: "cpu" });
});
afterAll(() => components.dispose());

const clip = (width: number, height: number, frames: number) =>
  Array.from({ length: frames }, (_, number) => formulaPicture(width, height, number));

describe("encodes what diffusers encodes", () => {
  it.each([
    ["whole", {}],
    ["in tiles", { tileAbovePixels: 0, tilePixels: 32 }],
  ])("%s, without the frames that fill no chunk", async (name, options) => {
    const { data, dims } = await encodeVideo(components, model, clip(96, 64, 11), options);
    const expected = reference.get(`random-wan.${name === "whole" ? "whole" : "tiled"}`);
    expect(dims).toEqual(expected?.dims);
    expect(dims).toEqual([1, 16, 3, 8, 12]);
    expect(maxDifference(data, expected?.data ?? [])).toBeLessThan(1e-4);
  });

  it.each([
    ["whole", {}],
    ["tiled", { tileAbovePixels: 0, tilePixels: 32 }],
  ])("tile by tile: %s", async (name, options) => {
    const pixels = chunkOf(clip(96, 64, 9));
    const chunkAt = (tile: Tensor, chunk: number) => {
      const frames = chunk === 0 ? [0] : [1, 2, 3, 4].map((frame) => 4 * (chunk - 1) + frame);
      return concat(
        frames.map((frame) => frameOf(tile, frame)),
        2,
      );
    };
    const { data, dims } = await encodeByTiles(components, model, pixels, 3, chunkAt, options);
    const expected = reference.get(`random-wan.${name}`);
    expect(dims).toEqual(expected?.dims);
    expect(maxDifference(data, expected?.data ?? [])).toBeLessThan(1e-4);
  });

  it("with other channels and scales", async () => {
    const other = await readModelFolder(randomWans["random-wan-other"]);
    const parts = new ComponentSet(other.path, { executionProvider: "cpu" });
    const { data } = await encodeVideo(parts, other, clip(24, 32, 5));
    await parts.dispose();
    expect(maxDifference(data, reference.get("random-wan-other.whole")?.data ?? [])).toBeLessThan(1e-4);
  });

  it("differently in tiles than whole, but not much", async () => {
    const [whole, tiled] = ["whole", "tiled"].map((name) => reference.get(`random-wan.${name}`)?.data ?? []);
    const difference = meanDifference(whole ?? [], tiled ?? []);
    expect(difference).toBeGreaterThan(1e-3);
    expect(difference).toBeLessThan(0.2);
  });
});

it("takes frames as it needs them, never more than a chunk", async () => {
  let taken = 0;
  async function* frames(): AsyncGenerator<RgbImage> {
    for (const frame of clip(32, 32, 9)) {
      taken++;
      yield frame;
    }
  }
  const counts: number[] = [];
  const counting = new Proxy(components, {
    get: (target, name) => {
      if (name !== "get") return Reflect.get(target, name, target);
      counts.push(taken);
      return target.get.bind(target);
    },
  });
  await encodeVideo(counting, model, frames());
  expect(counts).toEqual([1, 5, 9]);
});

it("encodes two videos in turns as one after the other", async () => {
  const [forward, backward] = [clip(32, 32, 5), clip(32, 32, 5).reverse()];
  const one = new VideoEncoder(components, model);
  const other = new VideoEncoder(components, model);
  const latents = [];
  for (const [start, end] of [
    [0, 1],
    [1, 5],
  ]) {
    latents.push(await one.push(chunkOf(forward.slice(start, end))));
    await other.push(chunkOf(backward.slice(start, end)));
  }
  one.dispose();
  other.dispose();
  const alone = await encodeVideo(components, model, forward);
  const { data } = latents[1] ?? { data: [] };
  const channel = (index: number) => [...data].slice(index * 16, (index + 1) * 16);
  const expected = (index: number) => [...alone.data].slice((2 * index + 1) * 16, (2 * index + 2) * 16);
  expect(data).toHaveLength(16 * 16);
  for (let index = 0; index < 16; index++) expect(channel(index)).toEqual(expected(index));
});

it("ends within a chunk when it is cancelled", async () => {
  const controller = new AbortController();
  let taken = 0;
  function* frames(): Generator<RgbImage> {
    for (const frame of clip(32, 32, 17)) {
      if (++taken === 6) controller.abort(new Error("cancelled"));
      yield frame;
    }
  }
  await expect(encodeVideo(components, model, frames(), { signal: controller.signal })).rejects.toThrow("cancelled");
  expect(taken).toBe(9);
});

it("refuses chunks that are none", async () => {
  const encoder = new VideoEncoder(components, model);
  await expect(encoder.push(chunkOf(clip(32, 32, 4)))).rejects.toThrow("frames to encode has shape [1, 3, 4, 32, 32]");
});
