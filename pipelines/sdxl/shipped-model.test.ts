import { afterAll, beforeAll, expect, it } from "vitest";
import { shippedSdxl } from "#pipelines/testing/tiny-sdxl.ts";
import { SdxlPipeline } from "./pipeline.ts";
import type { SdxlRequest } from "./request.ts";

/* What the model that ships with the project has learned. That it computes what diffusers does is in pipeline.test.ts. */

type Rgb = readonly [number, number, number];

const size = 128;
/** Colours as tools/train/pictures.py has them. */
const lightBlue: Rgb = [165, 212, 245];
const black: Rgb = [18, 18, 22];

let pipeline: SdxlPipeline;
beforeAll(async () => {
  pipeline = await SdxlPipeline.load(shippedSdxl, { executionProvider: "cpu" });
});
afterAll(() => pipeline.dispose());

async function draw(prompt: string, changes: Partial<SdxlRequest> = {}): Promise<Uint8Array | Uint8ClampedArray> {
  const { images } = await pipeline.generate({
    prompt,
    width: size,
    height: size,
    numInferenceSteps: 10,
    guidanceScale: 2,
    seeds: [1],
    ...changes,
  });
  return images[0]?.data ?? new Uint8Array();
}

/** Mean colour of the pixels that `has` picks. */
function meanColor(pixels: ArrayLike<number>, has: (row: number, column: number) => boolean): Rgb {
  const sum = [0, 0, 0];
  let count = 0;
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      if (!has(row, column)) continue;
      count++;
      for (const color of [0, 1, 2]) sum[color] = (sum[color] ?? 0) + (pixels[(row * size + column) * 3 + color] ?? 0);
    }
  }
  const [red = 0, green = 0, blue = 0] = sum.map((value) => value / count);
  return [red, green, blue];
}

const distance = (first: Rgb, second: Rgb) => Math.hypot(...first.map((value, color) => value - (second[color] ?? 0)));
const isBorder = (row: number, column: number) => Math.min(row, column, size - 1 - row, size - 1 - column) < 8;
const isMiddle = (row: number, column: number) => Math.max(Math.abs(row - 68), Math.abs(column - 64)) < 16;

it("draws a red apple on the background that the prompt names", async () => {
  const onBlue = await draw("a red apple on a light blue background");
  const onBlack = await draw("a red apple on a black background");
  expect(distance(meanColor(onBlue, isBorder), lightBlue)).toBeLessThan(25);
  expect(distance(meanColor(onBlack, isBorder), black)).toBeLessThan(25);
  for (const picture of [onBlue, onBlack]) {
    const [red, green, blue] = meanColor(picture, isMiddle);
    expect(red).toBeGreaterThan(1.5 * Math.max(green, blue));
  }
});

it("draws another subject for another name", async () => {
  const [red, green, blue] = meanColor(await draw("a green apple on a light blue background"), isMiddle);
  expect(green).toBeGreaterThan(1.2 * Math.max(red, blue));
});

it.each([
  ["an empty prompt", ""],
  ["words that it never saw", "xyzzy blorb 漢字 plugh"],
  ["more words than one chunk holds", "a red apple ".repeat(60)],
])("draws something for %s", async (_what, prompt) => {
  const picture = await draw(prompt);
  expect(picture).toHaveLength(size * size * 3);
  expect(new Set(picture).size).toBeGreaterThan(16);
});
