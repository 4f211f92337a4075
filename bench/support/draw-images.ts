import { readFileSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";
import { SdxlPipeline } from "#pipelines/sdxl/pipeline.ts";

/*
 * Our SDXL pipeline in a process of its own, as `tools/reference/bench_loop.py` runs Python's: loads the model, draws once
 * without counting, and says so in a line of JSON; then draws again for every line of standard input, and says how long it
 * took.
 *
 *   node draw-images.ts <model folder> <width> <height> <steps> <images> <guidance scale> <threads>
 */
const [model = "", ...numbers] = process.argv.slice(2);
const [width = 128, height = 128, numInferenceSteps = 15, images = 1, guidanceScale = 6, threads = 1] =
  numbers.map(Number);

/** Of the kernel; `resourceUsage` would give the largest of the process that started this one, too. */
function memoryKb(field: "VmRSS" | "VmHWM"): number {
  return Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
}

async function draw(pipeline: SdxlPipeline) {
  const inside = pipeline.millisecondsInRun;
  const processor = process.cpuUsage();
  const started = performance.now();
  const result = await pipeline.generate({
    prompt: "a mountain lake at sunrise, mist over the water",
    negativePrompt: "blurry, low quality",
    width,
    height,
    numInferenceSteps,
    guidanceScale,
    seeds: Array.from({ length: images }, (_, index) => 1 + index),
  });
  const seconds = (performance.now() - started) / 1000;
  const { user, system } = process.cpuUsage(processor);
  let sum = 0;
  for (const { data } of result.images) for (const value of data) sum += value;
  return {
    seconds,
    cpuSeconds: (user + system) / 1e6,
    insideSeconds: (pipeline.millisecondsInRun - inside) / 1000,
    mean: sum / (images * width * height * 3),
  };
}

const baseKb = memoryKb("VmRSS");
const started = performance.now();
const pipeline = await SdxlPipeline.load(model, { executionProvider: "cpu", intraOpThreads: threads });
const loadSeconds = (performance.now() - started) / 1000;
await draw(pipeline);
console.log(JSON.stringify({ loadSeconds, baseKb }));
for await (const _ of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify({ ...(await draw(pipeline)), peakKb: memoryKb("VmHWM") }));
}
await pipeline.dispose();
