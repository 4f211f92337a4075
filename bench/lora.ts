import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { elementCount } from "#pipelines/core/tensor.ts";
import type { Lora } from "#pipelines/lora/merged-graph.ts";
import { OnnxGraph } from "#pipelines/lora/onnx-graph.ts";
import { type WrittenTensor, writeSafetensors } from "#pipelines/lora/testing/write-safetensors.ts";
import { SdxlPipeline } from "#pipelines/sdxl/pipeline.ts";
import { median, printTable, spread } from "./support/table.ts";

/*
 * What a job costs that wants another LoRA than the one before, against loading the whole model anew: a file of rank 8
 * for every linear layer of the UNet's attention, one step of a small picture.
 *
 *   node bench/lora.ts --model models/tiny-sdxl --repeat 5
 */
const { values: options } = parseArgs({
  options: { model: { type: "string", default: "models/tiny-sdxl" }, repeat: { type: "string", default: "5" } },
});
const rank = 8;
const folder = mkdtempSync(join(tmpdir(), "bench-lora-"));

/** A file that changes little, and touches as much as a trained one does. */
async function makeLora(name: string): Promise<Lora> {
  const graph = await OnnxGraph.read(join(options.model, "unet/model.onnx"));
  const tensors: Record<string, WrittenTensor> = {};
  for (const [layer, { dims, transposed }] of graph.layers) {
    if (!/_attn\d_to_/.test(layer)) continue;
    const [first = 0, ...rest] = dims;
    const [rows, columns] = transposed ? [elementCount(rest), first] : [first, elementCount(rest)];
    tensors[`lora_unet_${layer}.lora_down.weight`] = { dims: [rank, columns], data: noise(rank * columns) };
    tensors[`lora_unet_${layer}.lora_up.weight`] = { dims: [rows, rank], data: noise(rows * rank) };
  }
  const path = join(folder, `${name}.safetensors`);
  writeSafetensors(path, tensors);
  return { path, version: name, strength: 1 };
}

function noise(length: number): Float32Array {
  return Float32Array.from({ length }, (_, index) => 0.01 * Math.sin(index * 12.9898));
}

async function draw(pipeline: SdxlPipeline, loras: readonly Lora[]): Promise<number> {
  const start = performance.now();
  await pipeline.generate({
    prompt: "a red apple",
    width: 64,
    height: 64,
    numInferenceSteps: 1,
    guidanceScale: 1,
    seeds: [0],
    loras,
  });
  return performance.now() - start;
}

const [ink, chalk] = [await makeLora("ink"), await makeLora("chalk")];
const times = { same: [] as number[], other: [] as number[], none: [] as number[], anew: [] as number[] };
let pipeline = await SdxlPipeline.load(options.model);
await draw(pipeline, [ink]);
for (let round = 0; round < Number(options.repeat); round++) {
  times.same.push(await draw(pipeline, [ink]));
  times.other.push(await draw(pipeline, [chalk]));
  times.none.push(await draw(pipeline, []));
  await pipeline.dispose();
  const start = performance.now();
  pipeline = await SdxlPipeline.load(options.model);
  await draw(pipeline, []);
  times.anew.push(performance.now() - start);
  await draw(pipeline, [ink]);
}
await pipeline.dispose();
rmSync(folder, { recursive: true });

const reference = median(times.anew);
printTable([
  ["job", "ms, median (spread)", "of loading anew"],
  ...Object.entries({
    "the same LoRA as before": times.same,
    "another LoRA": times.other,
    "none, after a LoRA": times.none,
    "model loaded anew": times.anew,
  }).map(([what, values]) => [what, spread(values, 0), (median(values) / reference).toFixed(2)]),
]);
