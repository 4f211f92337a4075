/**
 * Float32 tensors in row-major order and the few operations that pipelines need between two runs of a model. Arithmetic
 * rounds to float32 after every operation, as PyTorch on float32 tensors does.
 */

export interface Tensor {
  readonly data: Float32Array;
  readonly dims: readonly number[];
}

/** Integers for a model's input (token ids, timesteps); the session's metadata decides how wide they are sent. */
export interface IntTensor {
  readonly data: Int32Array;
  readonly dims: readonly number[];
}

/** Number of elements of a tensor with these dimensions. */
export function elementCount(dims: readonly number[]): number {
  return dims.reduce((product, size) => product * size, 1);
}

/**
 * A tensor over `data`, which is not copied.
 * @throws RangeError when the number of values is not the product of `dims`
 */
export function tensor(data: Float32Array, dims: readonly number[]): Tensor {
  if (data.length !== elementCount(dims)) {
    throw new RangeError(`a tensor of shape ${shapeText(dims)} needs ${elementCount(dims)} values, not ${data.length}`);
  }
  return { data, dims };
}

/** A tensor filled with zeros. */
export function zeros(dims: readonly number[]): Tensor {
  return { data: new Float32Array(elementCount(dims)), dims };
}

/** `[1, 4, 128, 128]`, for messages. */
export function shapeText(dims: readonly (number | string)[]): string {
  return `[${dims.join(", ")}]`;
}

/**
 * @param expected what each dimension must be; -1 accepts any size
 * @throws RangeError naming the tensor and both shapes
 */
export function checkShape(name: string, actual: readonly number[], expected: readonly number[]): void {
  const fits = actual.length === expected.length && expected.every((size, axis) => size < 0 || size === actual[axis]);
  if (!fits) throw new RangeError(`${name} has shape ${shapeText(actual)}, expected ${shapeText(expected)}`);
}

/**
 * Joins tensors along one axis, as `torch.cat` does.
 * @throws RangeError when there is nothing to join, or another axis differs
 */
export function concat(tensors: readonly Tensor[], axis: number): Tensor {
  const first = tensors[0];
  if (first === undefined || axis < 0 || axis >= first.dims.length) {
    throw new RangeError(`cannot concatenate ${tensors.length} tensors along axis ${axis}`);
  }
  let size = 0;
  for (const part of tensors) {
    checkShape("tensor to concatenate", part.dims, first.dims.with(axis, -1));
    size += part.dims[axis] ?? 0;
  }
  const dims = first.dims.with(axis, size);
  const out = new Float32Array(elementCount(dims));
  const outer = elementCount(first.dims.slice(0, axis));
  const inner = elementCount(first.dims.slice(axis + 1));
  let offset = 0;
  for (const part of tensors) {
    const rowLength = (part.dims[axis] ?? 0) * inner;
    for (let row = 0; row < outer; row++) {
      out.set(part.data.subarray(row * rowLength, (row + 1) * rowLength), row * size * inner + offset);
    }
    offset += rowLength;
  }
  return { data: out, dims };
}

/**
 * `count` rows of the first axis from `start`, over the same memory.
 * @throws RangeError when the rows are not there
 */
export function sliceBatch(source: Tensor, start: number, count: number): Tensor {
  const batch = source.dims[0] ?? 0;
  if (start < 0 || count < 1 || start + count > batch) {
    throw new RangeError(
      `rows ${start} to ${start + count} are outside of a tensor of shape ${shapeText(source.dims)}`,
    );
  }
  const rowLength = source.data.length / batch;
  return {
    data: source.data.subarray(start * rowLength, (start + count) * rowLength),
    dims: source.dims.with(0, count),
  };
}

/** The rows of the first axis as tensors of batch 1, over the same memory. */
export function splitBatch(source: Tensor): Tensor[] {
  return Array.from({ length: source.dims[0] ?? 0 }, (_, row) => sliceBatch(source, row, 1));
}

/** The whole tensor `times` times along the first axis, as `torch.Tensor.repeat(times, 1, …)` does. */
export function repeatBatch(source: Tensor, times: number): Tensor {
  return concat(
    Array.from({ length: times }, () => source),
    0,
  );
}

/** Multiplies every value by `factor` in place and returns the same tensor. */
export function scaleInPlace(target: Tensor, factor: number): Tensor {
  const { data } = target;
  const factor32 = Math.fround(factor);
  for (let index = 0; index < data.length; index++) data[index] = (data[index] ?? 0) * factor32;
  return target;
}

/**
 * Gives the memory of tensors back at once; they are empty then. Of what a model has just made: garbage is collected when
 * there is enough of it, which for outputs of megabytes is many runs later.
 */
export function release(...tensors: readonly Tensor[]): void {
  for (const { data } of tensors) releaseBuffer(data.buffer);
}

export function releaseBuffer(buffer: ArrayBufferLike): void {
  if (buffer instanceof ArrayBuffer && !buffer.detached) buffer.transfer(0);
}

/** Whether every value is a finite number. */
export function isFiniteData(data: Float32Array): boolean {
  // A sum of v·0 is 0 for finite values and NaN otherwise: one pass without a branch per element.
  let sum = 0;
  for (let index = 0; index < data.length; index++) sum += (data[index] ?? 0) * 0;
  return sum === 0;
}
