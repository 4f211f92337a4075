import { totalmem } from "node:os";
import { constrainedMemory } from "node:process";
import { CodedError } from "#contract/errors.ts";
import { GpuReading } from "#runtime/observe/gpu/gpu-reading.ts";
import type { HubFile } from "./hub-client.ts";

/** A language model's graph in one precision, and all its bytes. */
export interface PrecisionFile {
  readonly path: string;
  /** As in the file's name (`model_q4f16.onnx`); `fp32` for `model.onnx`. */
  readonly precision: string;
  readonly sizeBytes: number;
}

/** What the model is to run on. */
export interface TargetDevice {
  readonly kind: "cpu" | "gpu";
  /** For weights. */
  readonly roomBytes: number;
}

/** As the pipeline of language models takes them, by how well each device runs them. */
const preferred = {
  cpu: ["fp32", "fp16", "int8", "quantized", "uint8", "q4", "q4f16", "bnb4"],
  gpu: ["fp16", "q4f16", "fp32", "int8", "quantized", "uint8", "q4", "bnb4"],
} as const;

/** The rest is for what runs need, and for others. */
const shares = { cpu: 0.8, gpu: 0.75 };

const graphName = /^(?:onnx\/)?model(?:_(\w+))?\.onnx$/;

/** The precisions of a repository, `onnx/` before files beside the configs, as the pipeline looks for them. */
export function precisionsOf(files: readonly HubFile[]): PrecisionFile[] {
  const graphs = files.filter(({ path }) => graphName.test(path));
  const inFolder = graphs.filter(({ path }) => path.includes("/"));
  return (inFolder.length > 0 ? inFolder : graphs).map(({ path }) => ({
    path,
    precision: graphName.exec(path)?.[1] ?? "fp32",
    sizeBytes: files.reduce((sum, file) => (isOfGraph(file.path, path) ? sum + file.sizeBytes : sum), 0),
  }));
}

/** The graph itself, or `model.onnx_data`, `model.onnx.data`, `model.onnx_data_1`: weights lie beside it under its name. */
export function isOfGraph(path: string, graph: string): boolean {
  return path === graph || (path.startsWith(graph) && /^[._-]?data/.test(path.slice(graph.length)));
}

/**
 * Undefined where there is none at all.
 * @throws CodedError INVALID_REQUEST when there is none of that name, with those that there are
 */
export function namedPrecision(found: readonly PrecisionFile[], wanted: string): PrecisionFile | undefined {
  const named = found.find(({ precision }) => precision === wanted);
  if (named !== undefined || found.length === 0) return named;
  const names = inOrder(found, "cpu").map(({ precision }) => precision);
  throw new CodedError(
    "INVALID_REQUEST",
    `The model is not there in the precision "${wanted}"; there are: ${names.join(", ")}.`,
  );
}

/** The one that the device runs best of those that have room there, else the smallest; undefined where there is none. */
export function suitingPrecision(
  found: readonly PrecisionFile[],
  { kind, roomBytes }: TargetDevice,
): PrecisionFile | undefined {
  const fitting = inOrder(found, kind).find((file) => memoryOf(file, kind) <= roomBytes);
  return fitting ?? found.toSorted((one, other) => memoryOf(one, kind) - memoryOf(other, kind))[0];
}

function inOrder(found: readonly PrecisionFile[], kind: TargetDevice["kind"]): PrecisionFile[] {
  const order: readonly string[] = preferred[kind];
  const rank = ({ precision }: PrecisionFile) => (order.includes(precision) ? order.indexOf(precision) : order.length);
  return found.toSorted((one, other) => rank(one) - rank(other));
}

/** A CPU has no float16 arithmetic: such weights become twice as large when they are loaded. */
function memoryOf({ precision, sizeBytes }: PrecisionFile, kind: TargetDevice["kind"]): number {
  return kind === "cpu" && precision === "fp16" ? 2 * sizeBytes : sizeBytes;
}

/** @param limitBytes for weights, where an operator has set one */
export async function deviceHere(limitBytes = Number.POSITIVE_INFINITY): Promise<TargetDevice> {
  const gpus = await new GpuReading({ waitMs: 10_000 }).read();
  const kind = gpus === null ? "cpu" : "gpu";
  // 0, or more than there is, where nothing limits the process.
  const machine = Math.min(totalmem(), constrainedMemory() || Number.POSITIVE_INFINITY);
  const smallest = Math.min(...(gpus ?? []).map(({ memoryTotalBytes }) => memoryTotalBytes ?? machine));
  return { kind, roomBytes: Math.min(limitBytes, (kind === "gpu" ? smallest : machine) * shares[kind]) };
}
