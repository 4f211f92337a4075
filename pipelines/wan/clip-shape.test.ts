import { beforeAll, expect, it } from "vitest";
import { randomWans } from "#pipelines/testing/random-wan.ts";
import { framesToMake } from "./clip-job.ts";
import { checkShapeOf, latentGrid, tokenGrid } from "./clip-shape.ts";
import { readModelFolder, type WanModelFolder } from "./model-folder.ts";

let model: WanModelFolder;
beforeAll(async () => {
  model = await readModelFolder(randomWans["random-wan"]);
});

it.each([
  [1, 1],
  [2, 2],
  [5, 2],
  [81, 21],
  [83, 22],
  [161, 41],
])("%s frames have %s latent frames", (frames, latentFrames) => {
  expect(latentGrid(model, { frames, width: 832, height: 480 })).toEqual([latentFrames, 60, 104]);
});

it("counts tokens by patch", () => {
  expect(tokenGrid(model, [21, 60, 104])).toEqual([21, 30, 52]);
});

it.each([
  [{ width: 72, height: 64, frames: 5 }, "width and height must be multiples of 16 for this model, not 72×64"],
  [{ width: 64, height: 0, frames: 5 }, "width and height must be multiples of 16 for this model, not 64×0"],
  [{ width: 64, height: 64, frames: 0 }, "a clip has at least one frame, not 0"],
  [{ width: 64, height: 64, frames: 4.5 }, "a clip has at least one frame, not 4.5"],
  [
    { width: 1040, height: 64, frames: 5 },
    "1040×64 with 5 frames is more than this model has positions for: 1024×1024 with 253 frames",
  ],
])("refuses %j", (shape, message) => {
  expect(() => checkShapeOf(model, shape)).toThrow(message);
});

it("names both multiples where they differ", async () => {
  const other = await readModelFolder(randomWans["random-wan-other"]);
  expect(() => checkShapeOf(other, { width: 8, height: 6, frames: 1 })).toThrow("multiples of 8 and 4");
});

it.each([
  [83, 81],
  [82, 81],
  [81, 81],
  [84, 81],
  [85, 85],
  [5, 5],
  [1, 1],
])("%s frames are rounded down to %s where that is the rule", (frames, made) => {
  expect(framesToMake(frames, "rounded", 4)).toBe(made);
  expect(framesToMake(frames, "exact", 4)).toBe(frames);
});

it.each([
  [83, 8, 81],
  [80, 8, 73],
  [83, 2, 83],
  [83, 1, 83],
])("%s frames of a VAE that makes %s at a time are rounded down to %s", (frames, temporalScale, made) => {
  expect(framesToMake(frames, "rounded", temporalScale)).toBe(made);
});
