import { execFile } from "node:child_process";
import { rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { z } from "zod";
import { formulaPicture } from "#pipelines/testing/formula-picture.ts";
import { copyImageWan } from "#pipelines/testing/random-wan.ts";
import { WanPipeline } from "#pipelines/wan/pipeline.ts";
import { printTable } from "./support/table.ts";

/*
 * Highest memory of a process that makes one clip of so many frames: decoded chunk by chunk, it is the same for short and
 * long clips but for latents and the transformer's tokens. One clip a process.
 *
 *   npx node bench/wan-memory.ts --model <folder> --width 256 --height 256
 *
 * With --first-frame clips begin with a picture; by default of the random model of WAN 2.1's kind, with an image encoder.
 */
const { values } = parseArgs({
  options: {
    model: { type: "string" },
    "first-frame": { type: "boolean", default: false },
    width: { type: "string", default: "256" },
    height: { type: "string", default: "256" },
    frames: { type: "string" },
  },
});
const count = z.coerce.number().int().positive();
const megabytes = (kilobytes: number) => Math.round(kilobytes / 1024);

const isConditioned = values["first-frame"];

/** In this process; prints the highest resident memory once pictures are encoded, after the step and at the end, in kilobytes. */
async function measure(model: string, frames: number): Promise<void> {
  const pipeline = await WanPipeline.load(model, { executionProvider: "cpu", intraOpThreads: 1 });
  const peaks = [0, 0];
  const [width, height] = [count.parse(values.width), count.parse(values.height)];
  const first = formulaPicture(width, height);
  const condition = isConditioned ? ({ kind: "frames", first } as const) : undefined;
  const sampling = { numInferenceSteps: 1, guidanceScale: 1, seed: 1 };
  await pipeline.generate(
    { ...sampling, width, height, frames, condition, prompt: "a balloon rises over the hills" },
    async () => undefined,
    {
      onStage: ({ name }) => {
        if (name === "prepared") peaks[0] = process.resourceUsage().maxRSS;
        if (name === "step") peaks[1] = process.resourceUsage().maxRSS;
      },
    },
  );
  console.log(JSON.stringify([...peaks, process.resourceUsage().maxRSS]));
}

const peaksOfProcess = z.tuple([z.number(), z.number(), z.number()]);

async function compare(model: string): Promise<void> {
  const rows: string[][] = [];
  for (const frames of [17, 81, 161]) {
    const { width, height } = values;
    const script = fileURLToPath(import.meta.url);
    const args = [script, "--model", model, "--width", width, "--height", height, "--frames", String(frames)];
    if (isConditioned) args.push("--first-frame");
    const { stdout } = await promisify(execFile)(process.execPath, args);
    const [encoded, denoised, end] = peaksOfProcess.parse(JSON.parse(stdout));
    rows.push([frames, ...[encoded, denoised, end, end - denoised].map(megabytes)].map(String));
  }
  console.log(`${model}, ${values.width}×${values.height}, one step, a process for each clip`);
  printTable([
    ["frames", "highest memory after encoding, MB", "after the step", "at the end", "added by decoding"],
    ...rows,
  ]);
}

async function run(model: string): Promise<void> {
  if (values.frames === undefined) await compare(model);
  else await measure(model, count.parse(values.frames));
}

if (values.model !== undefined) await run(values.model);
else if (!isConditioned) await run("pipelines/wan/fixtures/random-wan");
else {
  const folder = copyImageWan("i2v");
  try {
    await run(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}
