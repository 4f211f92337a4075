import { readdir, readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { modelNotFound } from "./errors.ts";
import { fieldsOf, numbersOf } from "./protobuf.ts";

/** The same weights for other programs, beside the ONNX file. */
const otherPrograms = /\.(?:safetensors|msgpack|h5|xml)$|^(?:openvino|pytorch|diffusion_pytorch)_/;

/**
 * Bytes of the folder that each ONNX file is in: its external data belongs to all of them.
 * @throws PipelineError MODEL_NOT_FOUND when one is not there
 */
export async function weightBytesOf(folder: string, onnxFiles: readonly string[]): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  for (const file of onnxFiles) {
    const path = join(folder, file);
    await stat(path).catch((error: unknown) => {
      throw modelNotFound("an ONNX file of the model", path, error);
    });
    const names = (await readdir(dirname(path))).filter((name) => !otherPrograms.test(name));
    const bytes = await Promise.all(names.map(async (name) => (await stat(join(dirname(path), name))).size));
    sizes.set(
      file,
      bytes.reduce((sum, size) => sum + size, 0),
    );
  }
  return sizes;
}

/** A graph that holds its weights itself is not read for their types: it has no more than 2 GB, by protobuf's limit. */
const maxGraphBytes = 64 * 2 ** 20;

/**
 * Bytes of memory that the weights of each ONNX file take on a CPU, which computes in float32: those in float16 and
 * bfloat16 become twice as large. Of a large file with its weights inside it is the least that they can take.
 * @param weightBytes of the files, see {@link weightBytesOf}
 */
export async function cpuBytesOf(
  folder: string,
  weightBytes: ReadonlyMap<string, number>,
): Promise<Map<string, number>> {
  const needs = new Map<string, number>();
  for (const [file, bytes] of weightBytes) {
    const path = join(folder, file);
    const { size } = await stat(path);
    const widened = size > maxGraphBytes ? 0 : await halfPrecisionBytesOf(path);
    needs.set(file, bytes + Math.min(bytes, widened));
  }
  return needs;
}

/** Fields of onnx.proto: the graph of a model, its initializers, their dimensions and data type. */
const fields = { graph: 7, initializer: 5, dims: 1, dataType: 2 } as const;
const halfPrecision = new Set([10, 16]);

async function halfPrecisionBytesOf(path: string): Promise<number> {
  const model = await readFile(path);
  const bytes = halfPrecisionBytes(model);
  // Else all files that were read stay in memory until garbage is collected, beside the weights that are loaded next.
  if (model.buffer instanceof ArrayBuffer && model.buffer.byteLength === model.length) model.buffer.transfer(0);
  return bytes;
}

/** 0 for what is no ONNX file: whoever loads it says so. */
function halfPrecisionBytes(model: Uint8Array): number {
  let bytes = 0;
  try {
    for (const graph of fieldsOf(model)) {
      if (graph.number !== fields.graph) continue;
      for (const tensor of fieldsOf(graph.content))
        if (tensor.number === fields.initializer) bytes += halfBytes(tensor.content);
    }
    return bytes;
  } catch {
    return 0;
  }
}

function halfBytes(tensor: Uint8Array): number {
  let elements = 1;
  let isHalf = false;
  for (const field of fieldsOf(tensor)) {
    if (field.number === fields.dims) for (const size of numbersOf(field)) elements *= size;
    if (field.number === fields.dataType) isHalf = halfPrecision.has(field.value);
  }
  return isHalf ? elements * 2 : 0;
}
