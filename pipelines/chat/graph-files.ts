import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { freeMachineBytes, roomForWeights } from "#pipelines/core/device-memory.ts";
import { modelNotFound, needsMoreMemory } from "#pipelines/core/errors.ts";
import { cpuBytesOf } from "#pipelines/core/weight-bytes.ts";

/** One ONNX file of a language model, with the weights that lie beside it. */
export interface GraphFile {
  /** Path in the model's folder: `onnx/model_q4f16.onnx`. */
  readonly file: string;
  /** What follows `model_` in its name; empty for the plain one. */
  readonly precision: string;
  readonly bytes: number;
}

/** Precisions by the names that transformers.js gives their files, as each device runs them best. */
const preferred = {
  cpu: ["", "fp16", "int8", "quantized", "uint8", "q4", "q4f16", "bnb4"],
  cuda: ["fp16", "q4f16", "", "int8", "quantized", "uint8", "q4", "bnb4"],
} as const;

const graphName = /^model(?:_(\w+))?\.onnx$/;

/** Of what is free on a machine: the rest is for what a run needs beside the weights. */
const shareOfMachine = 0.8;

/** @throws PipelineError MODEL_NOT_FOUND when there is none */
export async function graphFilesOf(folder: string): Promise<GraphFile[]> {
  for (const [prefix, place] of [
    ["onnx/", join(folder, "onnx")],
    ["", folder],
  ] as const) {
    const names = await readdir(place).catch(() => []);
    const graphs = names.filter((name) => graphName.test(name));
    if (graphs.length > 0) return await Promise.all(graphs.map((name) => graphFile(prefix, place, name, names)));
  }
  throw modelNotFound("an ONNX file of the model", join(folder, "onnx/model.onnx"));
}

async function graphFile(prefix: string, place: string, name: string, names: readonly string[]): Promise<GraphFile> {
  // `model.onnx_data`, `model.onnx.data`, `model.onnx_data_1` are weights of `model.onnx`.
  const own = names.filter(
    (one) => one === name || (one.startsWith(name) && /^[._-]?data/.test(one.slice(name.length))),
  );
  const sizes = await Promise.all(own.map(async (one) => (await stat(join(place, one))).size));
  return {
    file: `${prefix}${name}`,
    precision: graphName.exec(name)?.[1] ?? "",
    bytes: sizes.reduce((sum, size) => sum + size, 0),
  };
}

export interface RoomForGraph {
  /** When absent, as the device has room. */
  readonly maxWeightBytes?: number | undefined;
  /** Bytes that the machine can still give; replaced in tests. */
  freeBytes?(): Promise<number>;
}

/**
 * The precision that the device runs best of those that have room on it.
 * @throws PipelineError MODEL_TOO_LARGE when none has
 */
export async function chooseGraph(
  folder: string,
  graphs: readonly GraphFile[],
  device: "cpu" | "cuda",
  { maxWeightBytes, freeBytes = freeMachineBytes }: RoomForGraph,
): Promise<GraphFile> {
  const needs = await needsOf(folder, graphs, device);
  const free = device === "cpu" ? Math.floor((await freeBytes()) * shareOfMachine) : await roomForWeights(device);
  const room = Math.min(maxWeightBytes ?? free, free);
  const order: readonly string[] = preferred[device];
  const rank = ({ precision }: GraphFile) => (order.includes(precision) ? order.indexOf(precision) : order.length);
  const inOrder = [...graphs].sort((one, other) => rank(one) - rank(other));
  const chosen = inOrder.find((graph) => (needs.get(graph.file) ?? 0) <= room);
  if (chosen !== undefined) return chosen;
  const smallest = graphs.reduce((one, other) =>
    (needs.get(other.file) ?? 0) < (needs.get(one.file) ?? 0) ? other : one,
  );
  throw needsMoreMemory(join(folder, smallest.file), needs.get(smallest.file) ?? 0, room);
}

async function needsOf(folder: string, graphs: readonly GraphFile[], device: "cpu" | "cuda") {
  const bytes = new Map(graphs.map(({ file, bytes }) => [file, bytes]));
  return device === "cpu" ? await cpuBytesOf(folder, bytes) : bytes;
}
