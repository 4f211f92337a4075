import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { z } from "zod";
import { WanPipeline } from "#pipelines/wan/pipeline.ts";
import { printTable } from "./support/table.ts";

/*
 * Highest memory of a process that makes one clip of so many frames: decoded chunk by chunk, it is the same for short and
 * long clips but for latents and the transformer's tokens. One clip a process.
 *
 *   npx node bench/wan-memory.ts --model <folder> --width 256 --height 256
 */
const { values } = parseArgs({
  options: {
    model: { type: "string", default: "pipelines/wan/fixtures/random-wan" },
    width: { type: "string", default: "256" },
    height: { type: "string", default: "256" },
    frames: { type: "string" },
  },
});
const count = z.coerce.number().int().positive();
const megabytes = (kilobytes: number) => Math.round(kilobytes / 1024);

/** In this process; prints the highest resident memory after the steps and at the end, in kilobytes. */
async function measure(frames: number): Promise<void> {
  const pipeline = await WanPipeline.load(values.model, { executionProvider: "cpu", intraOpThreads: 1 });
  let denoised = 0;
  const request = { width: count.parse(values.width), height: count.parse(values.height), frames, seed: 1 };
  await pipeline.generate(
    { ...request, prompt: "a balloon rises over the hills", numInferenceSteps: 1, guidanceScale: 1 },
    async () => undefined,
    {
      onStage: ({ name }) => {
        if (name === "step") denoised = process.resourceUsage().maxRSS;
      },
    },
  );
  console.log(JSON.stringify([denoised, process.resourceUsage().maxRSS]));
}

const peaks = z.tuple([z.number(), z.number()]);

async function compare(): Promise<void> {
  const rows: string[][] = [];
  for (const frames of [17, 81, 161]) {
    const { model, width, height } = values;
    const script = fileURLToPath(import.meta.url);
    const args = [script, "--model", model, "--width", width, "--height", height, "--frames", String(frames)];
    const { stdout } = await promisify(execFile)(process.execPath, args);
    const [denoised, end] = peaks.parse(JSON.parse(stdout));
    rows.push([frames, megabytes(denoised), megabytes(end), megabytes(end - denoised)].map(String));
  }
  console.log(`${values.model}, ${values.width}×${values.height}, one step, a process for each clip`);
  printTable([["frames", "highest memory after the step, MB", "at the end, MB", "added by decoding"], ...rows]);
}

if (values.frames === undefined) await compare();
else await measure(count.parse(values.frames));
