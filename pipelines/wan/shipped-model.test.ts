import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { z } from "zod";
import type { RgbImage } from "#pipelines/images/rgb.ts";
import { maxDifference } from "#pipelines/testing/compare.ts";
import { readSafetensors } from "#pipelines/testing/safetensors.ts";
import { WanPipeline } from "./pipeline.ts";

const shippedWan = fileURLToPath(new URL("../../models/tiny-wan", import.meta.url));
const fixtures = new URL("fixtures/shipped/", import.meta.url);
const reference = z
  .object({
    prompt: z.string(),
    width: z.int(),
    height: z.int(),
    frames: z.int(),
    steps: z.int(),
    guidance_scale: z.number(),
    seed: z.int(),
  })
  .parse(JSON.parse(readFileSync(new URL("clip.json", fixtures), "utf8")));

let pipeline: WanPipeline;
beforeAll(async () => {
  pipeline = await WanPipeline.load(shippedWan, { executionProvider: "cpu" });
});
afterAll(() => pipeline.dispose());

async function draw(prompt: string, seed: number): Promise<RgbImage[]> {
  const frames: RgbImage[] = [];
  const { width, height, frames: count, steps, guidance_scale: guidanceScale } = reference;
  const request = { prompt, width, height, frames: count, numInferenceSteps: steps, guidanceScale, seed };
  await pipeline.generate(request, async ({ data, ...size }) => {
    frames.push({ ...size, data: data.slice() });
  });
  return frames;
}

it("draws the clip that diffusers draws with the same weights", async () => {
  const expected = readSafetensors(new URL("clip.safetensors", fixtures)).get("frames_u8")?.data ?? [];
  const frames = await draw(reference.prompt, reference.seed);
  const pixels = frames.flatMap(({ data }) => [...data]);
  expect(maxDifference(pixels, expected)).toBeLessThanOrEqual(1);
  const off = pixels.filter((value, index) => value !== expected[index]).length;
  expect(off / pixels.length).toBeLessThanOrEqual(0.001);
});

/** Where red is, as [column, row], 0 to 1. */
function middleOfRed({ data, width, height }: RgbImage): [number, number] {
  let [total, x, y] = [0, 0, 0];
  for (let place = 0; place < width * height; place++) {
    const [red = 0, green = 0, blue = 0] = data.subarray(3 * place, 3 * place + 3);
    const weight = Math.max(0, red - Math.max(green, blue) - 60);
    total += weight;
    x += (weight * (place % width)) / width;
    y += (weight * Math.floor(place / width)) / height;
  }
  return [x / total, y / total];
}

it.each([
  ["moves left", -1, 0],
  ["moves right", 1, 0],
  ["flies up", 0, -1],
  ["falls down", 0, 1],
])("moves a red apple as the prompt says: %s", async (motion, right, down) => {
  const frames = await draw(`a red apple ${motion}, light blue background`, 5);
  const [first, last] = [frames[0], frames.at(-1)];
  if (first === undefined || last === undefined) throw new Error("no frames");
  const [x0, y0] = middleOfRed(first);
  const [x1, y1] = middleOfRed(last);
  // It crosses 40 % of the picture.
  expect(x1 - x0).toBeGreaterThan(right * 0.4 - 0.15);
  expect(x1 - x0).toBeLessThan(right * 0.4 + 0.15);
  expect(y1 - y0).toBeGreaterThan(down * 0.4 - 0.15);
  expect(y1 - y0).toBeLessThan(down * 0.4 + 0.15);
});
