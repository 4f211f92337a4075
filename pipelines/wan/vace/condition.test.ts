import { afterAll, describe, expect, it } from "vitest";
import { ComponentSet } from "#pipelines/core/component-set.ts";
import type { Tensor } from "#pipelines/core/tensor.ts";
import type { RgbImage } from "#pipelines/images/rgb.ts";
import { maxDifference } from "#pipelines/testing/compare.ts";
import { formulaPicture } from "#pipelines/testing/formula-picture.ts";
import type { VaceCondition } from "../condition.ts";
import { encodeVideo } from "../encode-video.ts";
import { formulaMask, pictures, VaceModels } from "../testing/vace-cases.ts";
import { knownFrames } from "./guide.ts";
import { frameMask } from "./mask-channels.ts";
import { prepareVace } from "./prepare-vace.ts";

const models = new VaceModels();
afterAll(() => models.dispose());

const [width, height] = [32, 16];
const channels = 16;
const picture = (number: number) => formulaPicture(width, height, number);

/** What the transformer reads of a condition, and how many frames the run makes; one step. */
async function controlOf(condition: Omit<VaceCondition, "kind">, frames: number, signal?: AbortSignal) {
  const pipeline = await models.get("vace");
  let control: Tensor | undefined;
  let made = 0;
  await pipeline.generate(
    {
      prompt: "a lake between mountains",
      ...{ width, height, frames },
      numInferenceSteps: 1,
      guidanceScale: 1,
      seed: 4,
      condition: { kind: "vace", ...condition },
    },
    async () => {
      made++;
    },
    {
      signal,
      onStage(stage) {
        const found = stage.name === "conditioned" ? stage.conditioning.inputs?.control_hidden_states : undefined;
        if (found !== undefined) control = { data: found.data.slice(), dims: found.dims };
      },
    },
  );
  if (control === undefined) throw new Error("nothing was conditioned");
  return { control, made };
}

/** The mask of the first pixel of each latent, by latent frame. */
function maskByFrame({ data, dims }: Tensor): number[] {
  const [, , frames = 0, rows = 0, columns = 0] = dims;
  const start = 2 * channels * frames * rows * columns;
  return Array.from({ length: frames }, (_, frame) => data[start + frame * rows * columns] ?? Number.NaN);
}

describe("a control video", () => {
  it("is read frame by frame, holds none of them, and is closed after those of the clip", async () => {
    let [taken, closed] = [0, false];
    // The one picture that there is changes under whoever keeps it.
    async function* changing(make: (number: number) => RgbImage): AsyncGenerator<RgbImage> {
      const shared = make(0);
      try {
        for (let number = 0; ; number++, taken++) {
          shared.data.set(make(number).data);
          yield shared;
        }
      } finally {
        closed = true;
      }
    }
    const mask = (number: number) => formulaMask("disc", width, height, number);
    const streamed = await controlOf({ video: changing(picture), mask: changing(mask) }, 9);
    expect(closed).toBe(true);
    expect(taken).toBe(16);
    const held = await controlOf({ video: [...pictures(9, picture)], mask: [...pictures(9, mask)] }, 9);
    expect(maxDifference(streamed.control.data, held.control.data)).toBe(0);
  });

  it("counts to its last frame where the model makes more frames than the clip has", async () => {
    const known = knownFrames({ first: picture(0), last: picture(1) }, 6);
    const { control, made } = await controlOf(known, 6);
    expect(made).toBe(6);
    expect(control.dims).toEqual([1, 2 * channels + 64, 3, 2, 4]);
    // Nine frames are made, and their masks are those of frames 1, 4 and 7.
    const all = await controlOf(
      { video: [...known.video, "gray", "gray", "gray"], mask: [...known.mask, "white", "white", "white"] },
      9,
    );
    expect(maxDifference(control.data, all.control.data)).toBe(0);
    const without = await controlOf(knownFrames({ first: picture(0) }, 6), 6);
    expect(maxDifference(control.data, without.control.data)).toBeGreaterThan(1e-3);
  });

  it("stops within a chunk when the job is cancelled", async () => {
    const cancel = new AbortController();
    const reason = new Error("cancelled by its user");
    let taken = 0;
    const video = pictures(81, (number) => {
      if (++taken === 6) cancel.abort(reason);
      return picture(number);
    });
    await expect(controlOf({ video }, 81, cancel.signal)).rejects.toBe(reason);
    expect(taken).toBe(9);
  });
});

it("encodes large frames in tiles, one after the other, as a video that is encoded in tiles", async () => {
  const { model } = await models.get("vace");
  const components = new ComponentSet(model.path, { executionProvider: "cpu" });
  const encoding = { tileAbovePixels: 1000, tilePixels: 32 };
  const parts = { components, model, encoding, pictures: undefined };
  const shape = { width: 64, height: 48, frames: 9 };
  const video = [...pictures(9, (number) => formulaPicture(64, 48, number))];
  const mask = Array.from({ length: 9 }, (_, frame) => (frame < 5 ? "white" : "black"));
  const half = await prepareVace(parts, shape, { kind: "vace", video, mask });
  const drawn = await prepareVace(parts, shape, { kind: "vace", video });
  const nothing = await prepareVace(parts, shape, { kind: "vace" });
  const whole = await encodeVideo(components, model, video, encoding);
  await components.dispose();
  const partsOf = ({ inputs }: typeof drawn) => {
    const size = whole.data.length;
    const data = inputs?.control_hidden_states?.data ?? new Float32Array();
    return [data.subarray(0, size), data.subarray(size, 2 * size)] as const;
  };
  expect(maxDifference(partsOf(drawn)[1], whole.data)).toBe(0);
  expect(maxDifference(partsOf(drawn)[0], partsOf(nothing)[0])).toBe(0);
  // The first two of the three latent frames, of each channel.
  const frames = whole.dims.slice(3).reduce((product, length) => product * length, 2);
  const firstFrames = (data: Float32Array) => data.filter((_, index) => index % (1.5 * frames) < frames);
  expect(maxDifference(firstFrames(partsOf(half)[1]), firstFrames(whole.data))).toBe(0);
  expect(maxDifference(firstFrames(partsOf(half)[0]), firstFrames(partsOf(nothing)[0]))).toBe(0);
  expect(maxDifference(partsOf(half)[0], partsOf(nothing)[0])).toBeGreaterThan(1e-3);
});

describe("the encoding of a control is a part of the progress:", () => {
  it.each<[string, Omit<VaceCondition, "kind">, readonly number[]]>([
    ["a video's is two", { video: pictures(9, picture) }, [2.7, 6.3, 9.8, 13.4, 89.3]],
    ["a clip's of which nothing is known is one", {}, [2.8, 4.7, 6.6, 8.5, 88.7]],
  ])("%s", async (_what, condition, begin) => {
    const pipeline = await models.get("vace");
    const request = { prompt: "a lake", width, height, frames: 9, numInferenceSteps: 1, guidanceScale: 1, seed: 4 };
    const done: number[] = [];
    const hooks = { onProgress: (step: number) => void done.push(step) };
    await pipeline.generate({ ...request, condition: { kind: "vace", ...condition } }, async () => undefined, hooks);
    expect(done.slice(0, begin.length)).toEqual(begin);
    expect(done.at(-1)).toBe(100);
  });

  it("in tiles, each chunk of each tile of what is kept and of what is drawn anew counts the same", async () => {
    const { model } = await models.get("vace");
    const components = new ComponentSet(model.path, { executionProvider: "cpu" });
    const shares: number[] = [];
    const onProgress = (share: number) => void shares.push(share);
    const encoding = { tileAbovePixels: 1000, tilePixels: 32, onProgress };
    const video = pictures(9, (number) => formulaPicture(64, 48, number));
    const shape = { width: 64, height: 48, frames: 9 };
    await prepareVace({ components, model, encoding, pictures: undefined }, shape, { kind: "vace", video });
    await components.dispose();
    // Three columns and two rows of tiles, three chunks each, twice.
    expect(shares).toHaveLength(36);
    for (const [index, share] of shares.entries()) expect(share).toBeCloseTo((index + 1) / 36);
  });
});

it("is not needed where frames are held by their latents", async () => {
  const pipeline = await models.get("vace");
  const request = { prompt: "a lake", width, height, frames: 5, numInferenceSteps: 2, guidanceScale: 1, seed: 4 };
  const frames: RgbImage[] = [];
  const condition = { kind: "anchor", first: picture(0), strength: 1 } as const;
  await pipeline.generate({ ...request, condition }, async (frame) => void frames.push(frame));
  expect(frames).toHaveLength(5);
});

it("says of every latent frame whether its nearest frame is kept", async () => {
  const mask = Array.from({ length: 9 }, (_, frame) => (frame === 4 ? "black" : "white"));
  const { control } = await controlOf({ video: [...pictures(9, picture)], mask }, 9);
  expect(maskByFrame(control)).toEqual([1, 0, 1]);
});

it("holds a mask that stands still once", () => {
  const before = frameMask(formulaMask("disc", 8, 8, 0), undefined);
  expect(frameMask(formulaMask("disc", 8, 8, 0), before)).toBe(before);
  expect(frameMask(formulaMask("disc", 8, 8, 1), before)).not.toBe(before);
  // Coloured masks count by their grey.
  const red = { data: Uint8ClampedArray.of(255, 0, 0), width: 1, height: 1 };
  expect(frameMask(red, undefined)).toEqual(Uint8Array.of(76));
});

describe("what the model cannot take is refused:", () => {
  const video = () => pictures(5, picture);
  it.each<[string, Omit<VaceCondition, "kind">, string]>([
    ["a mask without a video", { mask: ["white"] }, "a mask belongs to a control video"],
    ["a mask that is shorter", { video: video(), mask: ["white"] }, "the mask ends after 1 frames"],
    ["a video without a frame", { video: [] }, "the control video has no frame: send another one, or leave it out"],
    ["three scales", { scale: [1, 1, 1] }, "has 3 scales, and reaches 2 layers of the model"],
    ["no scale", { scale: [] }, "send 2, or one number for all"],
    ["a picture of 40×7", { references: [formulaPicture(40, 7)] }, "has 40×7 pixels: send one of at least 8×8"],
    [
      "too many pictures",
      { references: Array.from({ length: 63 }, () => formulaPicture(8, 8)) },
      "has 63 reference pictures, and beside 5 frames the model has positions for 62",
    ],
  ])("%s", async (_what, condition, message) => {
    await expect(controlOf(condition, 5)).rejects.toMatchObject({
      code: "INVALID_JOB",
      permanent: true,
      message: expect.stringContaining(message),
    });
  });
});
