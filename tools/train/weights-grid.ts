/*
 * Draws what a weight and a negative prompt do with the bundled model, a row of pictures each:
 *   node tools/train/weights-grid.ts docs/images/weights.webp
 */
import process from "node:process";
import sharp from "sharp";
import { SdxlPipeline } from "#pipelines/sdxl/pipeline.ts";
import { readWeights } from "#pipelines/sdxl/read-weights.ts";
import { shippedSdxl } from "#pipelines/testing/tiny-sdxl.ts";

const size = 128;
const gap = 4;

const marks = ["-----", "---", "-", "", "++", "++++"];
const negativePrompts = [undefined, "green", "blue", "red", "night sky", "white"];

const [output] = process.argv.slice(2);
if (output === undefined) throw new Error("Give the file to write: node tools/train/weights-grid.ts <file.webp>");

const pipeline = await SdxlPipeline.load(shippedSdxl, { executionProvider: "cpu" });

async function draw(prompt: string, negativePrompt: string | undefined, seed: number): Promise<Buffer> {
  const read = readWeights({ prompt, negative_prompt: negativePrompt, compel_enabled: true });
  const { images } = await pipeline.generate({
    prompt,
    negativePrompt,
    weighted: read.strategy === "compel" ? read.prompts : undefined,
    width: size,
    height: size,
    numInferenceSteps: 20,
    guidanceScale: 2.5,
    seeds: [seed],
  });
  const [image] = images;
  if (image === undefined) throw new Error(`no picture for "${prompt}"`);
  const { width, height, data } = image;
  return await sharp(Buffer.from(data), { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

const pictures: Buffer[] = [];
for (const mark of marks) pictures.push(await draw(`apple, (sunset)${mark}`, undefined, 1));
for (const negative of negativePrompts) pictures.push(await draw("rocket", negative, 4));
await sharp(pictures, { join: { across: marks.length, shim: gap, background: "white" } })
  .webp({ quality: 85 })
  .toFile(output);
await pipeline.dispose();
