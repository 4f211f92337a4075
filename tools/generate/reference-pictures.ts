/*
 * Draws the sheet of docs/18-images.md with the model that ships: a picture, what becomes of it at several strengths, and a
 * part of it drawn anew.
 *
 *   npx node tools/generate/reference-pictures.ts docs/images/references.webp
 */
import process from "node:process";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import type { Mask } from "#pipelines/images/mask.ts";
import type { RgbImage } from "#pipelines/images/rgb.ts";
import { SdxlPipeline } from "#pipelines/sdxl/pipeline.ts";
import type { SdxlReference } from "#pipelines/sdxl/request.ts";

const side = 128;
const gap = 4;
const strengths = [0.2, 0.4, 0.6, 0.8, 1];
const things = ["a pizza", "a lemon", "a rocket", "a green apple"];

const [output] = process.argv.slice(2);
if (output === undefined)
  throw new Error("Give the file to write: npx node tools/generate/reference-pictures.ts <file.webp>");

const pipeline = await SdxlPipeline.load(fileURLToPath(new URL("../../models/tiny-sdxl", import.meta.url)));

async function draw(prompt: string, seed: number, reference?: SdxlReference): Promise<RgbImage> {
  const settings = { width: side, height: side, numInferenceSteps: 25, guidanceScale: 2.5, seeds: [seed] };
  const [image] = (await pipeline.generate({ ...settings, prompt, reference })).images;
  if (image === undefined) throw new Error(`no picture for "${prompt}"`);
  return image;
}

/** A disc in the middle. */
function disc(radius: number): Mask {
  const middle = side / 2;
  const data = Uint8Array.from({ length: side * side }, (_, index) =>
    Math.hypot((index % side) - middle, Math.floor(index / side) - middle) < radius ? 1 : 0,
  );
  return { data, width: side, height: side };
}

const encode = ({ data, width, height }: RgbImage): Promise<Buffer> =>
  sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();

const shown = ({ data }: Mask): RgbImage => ({
  data: new Uint8ClampedArray(side * side * 3).map((_, index) => (data[Math.floor(index / 3)] ?? 0) * 255),
  width: side,
  height: side,
});

try {
  const image = await draw("a red apple on a light blue background", 1);
  const changed: RgbImage[] = [];
  for (const strength of strengths) changed.push(await draw("an orange on a pink background", 3, { image, strength }));
  const inside = disc(54);
  const repainted: RgbImage[] = [];
  for (const [index, thing] of things.entries()) {
    const reference = { image, strength: 0.95, mask: inside };
    repainted.push(await draw(`${thing} on a light blue background`, 5 + index, reference));
  }
  const rows = [image, ...changed, image, shown(inside), ...repainted];
  await sharp(await Promise.all(rows.map(encode)), { join: { across: 6, shim: gap, background: "white" } })
    .webp({ quality: 88 })
    .toFile(output);
} finally {
  await pipeline.dispose();
}
