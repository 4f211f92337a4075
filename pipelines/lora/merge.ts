import type { Component } from "#pipelines/core/onnx.ts";
import { elementCount, shapeText, type Tensor } from "#pipelines/core/tensor.ts";
import { loraInvalid } from "./errors.ts";
import type { LoraFile, LoraLayer } from "./lora-file.ts";
import type { Layer } from "./onnx-graph.ts";

/** A layer's change with the strength that the job gives its file. */
export interface Change {
  readonly file: LoraFile;
  readonly layer: LoraLayer;
  readonly strength: number;
}

/**
 * `W + strength · scale · up · down` over all changes, in float32 (Hu et al. 2021, "LoRA", with kohya's alpha).
 * @param weights of the layer, in the shape that `target` states; not changed
 * @param gemm of {@link loadGemm}
 * @throws PipelineError LORA_INVALID when the shapes do not fit, or a tensor has NaN or infinity
 */
export async function mergeChanges(
  weights: Tensor,
  target: Layer,
  changes: readonly Change[],
  gemm: Component,
): Promise<Tensor> {
  let merged = weights;
  for (const { file, layer, strength } of changes) {
    const { down, up } = await readMatrices(file, layer, target);
    for (let index = 0; index < up.data.length; index++)
      up.data[index] = (up.data[index] ?? 0) * strength * layer.scale;
    const [a, b] = target.transposed ? [transpose(down), transpose(up)] : [up, down];
    const c = { data: merged.data, dims: [a.dims[0] ?? 0, b.dims[1] ?? 0] };
    merged = { data: (await gemm.run({ a, b, c }, ["y"])).y.data, dims: weights.dims };
  }
  return merged;
}

/** Both halves as matrices: up `[out, rank]` and down `[rank, everything of the input]`, a core multiplied in. */
async function readMatrices(
  { tensors }: LoraFile,
  layer: LoraLayer,
  target: Layer,
): Promise<{ down: Tensor; up: Tensor }> {
  checkShapes(tensors, layer, target);
  const down = flat(await tensors.read(layer.down));
  const up = flat(await tensors.read(layer.up));
  return { down: layer.mid === undefined ? down : withCore(down, await tensors.read(layer.mid)), up };
}

/** By the header alone: what does not fit is never read, or multiplied out to who knows how much. */
function checkShapes(tensors: LoraFile["tensors"], { down, up, mid, module }: LoraLayer, target: Layer): void {
  const [out, input] = matrixShape(target);
  const [downRows = 0, ...downRest] = tensors.dims(down);
  const [upRows = 0, ...upRest] = tensors.dims(up);
  const [coreRows = 0, coreColumns = 0, ...kernel] = mid === undefined ? [downRows, downRows] : tensors.dims(mid);
  const columns = elementCount(downRest) * elementCount(kernel);
  const fits = upRows === out && elementCount(upRest) === coreRows && coreColumns === downRows && columns === input;
  if (fits) return;
  throw loraInvalid(
    tensors.name,
    `"${module}" changes a layer of ${upRows} × ${columns} values, and the model's has ${out} × ${input} (${shapeText(target.dims)}): it was made for another model`,
  );
}

function matrixShape({ dims, transposed }: Layer): [number, number] {
  const [first = 0, ...rest] = dims;
  return transposed ? [elementCount(rest), first] : [first, elementCount(rest)];
}

function flat({ data, dims }: Tensor): Tensor {
  const rows = dims[0] ?? 0;
  return { data, dims: [rows, rows === 0 ? 0 : data.length / rows] };
}

/** LoCon's third tensor lies between the halves: `[r, r, h, w]` over down `[r, in]` gives `[r, in · h · w]`. */
function withCore(down: Tensor, mid: Tensor): Tensor {
  const [rows = 0, ranks = 0] = mid.dims;
  const kernel = mid.data.length / Math.max(1, rows * ranks);
  const [, inputs = 0] = down.dims;
  const data = new Float32Array(rows * inputs * kernel);
  for (let row = 0; row < rows; row++) {
    for (let rank = 0; rank < ranks; rank++) {
      for (let input = 0; input < inputs; input++) {
        const factor = down.data[rank * inputs + input] ?? 0;
        const from = (row * ranks + rank) * kernel;
        const to = (row * inputs + input) * kernel;
        for (let at = 0; at < kernel; at++) data[to + at] = (data[to + at] ?? 0) + factor * (mid.data[from + at] ?? 0);
      }
    }
  }
  return { data, dims: [rows, inputs * kernel] };
}

function transpose({ data, dims: [rows = 0, columns = 0] }: Tensor): Tensor {
  const turned = new Float32Array(data.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) turned[column * rows + row] = data[row * columns + column] ?? 0;
  }
  return { data: turned, dims: [columns, rows] };
}
