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

const help = `What a job costs that wants other LoRA files than the one before, beside loading the whole model anew.

  npx node bench/lora.ts --model models/tiny-sdxl --rounds 5

  --model <folder>   (default: models/tiny-sdxl); tools/README.md makes a larger random one
  --rounds <count>   each of all rows, in turn (default: 5)
  --threads <count>  of ONNX Runtime (default: 1)

The files are of rank 8, for every linear layer of the UNet's attention; a job is one step of a small picture without
guidance. Ratios are of processor time to that of loading anew, which the machine's other work changes least.`;

const { values: options } = parseArgs({
  options: {
    help: { type: "boolean" },
    model: { type: "string", default: "models/tiny-sdxl" },
    rounds: { type: "string", default: "5" },
    threads: { type: "string", default: "1" },
  },
});
const rank = 8;

/** A file that changes little, and touches as much as a trained one does. */
async function makeLora(folder: string, name: string): Promise<Lora> {
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

async function draw(pipeline: SdxlPipeline, loras: readonly Lora[]): Promise<void> {
  await pipeline.generate({
    prompt: "a red apple",
    width: 64,
    height: 64,
    numInferenceSteps: 1,
    guidanceScale: 1,
    seeds: [0],
    loras,
  });
}

interface Cost {
  readonly seconds: number;
  readonly cpuSeconds: number;
}

async function measure(work: () => Promise<void>): Promise<Cost> {
  const start = performance.now();
  const processor = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(processor);
  return { seconds: (performance.now() - start) / 1000, cpuSeconds: (user + system) / 1e6 };
}

async function compare(ink: Lora, chalk: Lora): Promise<void> {
  const load = () =>
    SdxlPipeline.load(options.model, { executionProvider: "cpu", intraOpThreads: Number(options.threads) });
  const costs = new Map<string, Cost[]>();
  const add = async (row: string, work: () => Promise<void>) => {
    costs.set(row, [...(costs.get(row) ?? []), await measure(work)]);
  };
  const anew = "the model loaded anew, without LoRA";
  let pipeline = await load();
  for (let round = 0; round < Number(options.rounds); round++) {
    await pipeline.dispose();
    await add(anew, async () => {
      pipeline = await load();
      await draw(pipeline, []);
    });
    await draw(pipeline, [ink]);
    await add("the same LoRA as before", () => draw(pipeline, [ink]));
    await add("another, for the first time", () => draw(pipeline, [chalk]));
    await add("another, which was used before and has room in memory", () => draw(pipeline, [ink]));
    await add("none, after a LoRA", () => draw(pipeline, []));
  }
  await pipeline.dispose();
  const reference = median((costs.get(anew) ?? []).map(({ cpuSeconds }) => cpuSeconds));
  printTable([
    ["job", "seconds", "of processor time", "of loading anew"],
    ...[...costs].map(([row, all]) => {
      const cpu = all.map(({ cpuSeconds }) => cpuSeconds);
      return [
        row,
        spread(
          all.map(({ seconds }) => seconds),
          2,
        ),
        spread(cpu, 2),
        (median(cpu) / reference).toFixed(2),
      ];
    }),
  ]);
}

if (options.help) console.log(help);
else {
  const folder = mkdtempSync(join(tmpdir(), "bench-lora-"));
  try {
    await compare(await makeLora(folder, "ink"), await makeLora(folder, "chalk"));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
