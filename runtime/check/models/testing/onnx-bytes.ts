/*
 * Small ONNX files made by hand, so that tests can have them in every shape: whole, cut off, with external data of any
 * place and size. Fields are those of onnx.proto; what is made with `weights` of the right size loads and runs.
 */
export interface ExternalEntry {
  readonly location: string;
  readonly offset?: number | string;
  readonly length?: number | string;
}

export interface WeightSpec {
  readonly name: string;
  /** Float32 values; by default 4. */
  readonly count?: number;
  /** In the file: their bytes, by default zeros of the right size. */
  readonly raw?: Uint8Array;
  readonly external?: ExternalEntry;
}

const float32 = 1;

/** `y = x + w1 + w2 …`, each weight an initializer, or (`constants`) the value of a Constant node. */
export function onnxBytes(weights: readonly WeightSpec[], { constants = false, inSubgraph = false } = {}): Buffer {
  const tensors = weights.map(tensor);
  const names = weights.map(({ name }) => name);
  const sums = names.map((name, index) =>
    node("Add", [index === 0 ? "x" : `s${index}`, name], [index === names.length - 1 ? "y" : `s${index + 1}`]),
  );
  const constantNodes = constants
    ? tensors.map((bytes, index) => node("Constant", [], [names[index] ?? ""], [attribute("value", 5, bytes, 4)]))
    : [];
  const initializers = constants || inSubgraph ? [] : tensors.map((bytes) => message(5, bytes));
  const branch = Buffer.concat([text(2, "branch"), ...tensors.map((bytes) => message(5, bytes))]);
  const conditional = inSubgraph ? [node("If", ["c"], ["z"], [attribute("then_branch", 6, branch, 5)])] : [];
  const graph = Buffer.concat([
    ...[...constantNodes, ...sums, ...conditional].map((bytes) => message(1, bytes)),
    text(2, "test"),
    ...initializers,
    message(11, valueInfo("x")),
    message(12, valueInfo("y")),
  ]);
  return Buffer.concat([varintField(1, 8), message(7, graph), message(8, varintField(2, 13))]);
}

function tensor({ name, count = 4, raw, external }: WeightSpec): Buffer {
  const content =
    external === undefined
      ? message(9, Buffer.from(raw ?? new Uint8Array(count * 4)))
      : Buffer.concat([
          ...Object.entries(external).map(([key, value]) =>
            message(13, Buffer.concat([text(1, key), text(2, String(value))])),
          ),
          varintField(14, 1),
        ]);
  return Buffer.concat([varintField(1, count), varintField(2, float32), text(8, name), content]);
}

function node(
  operator: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: readonly Buffer[] = [],
): Buffer {
  return Buffer.concat([
    ...inputs.map((name) => text(1, name)),
    ...outputs.map((name) => text(2, name)),
    text(4, operator),
    ...attributes.map((bytes) => message(5, bytes)),
  ]);
}

function attribute(name: string, field: number, value: Buffer, type: number): Buffer {
  return Buffer.concat([text(1, name), message(field, value), varintField(20, type)]);
}

/** A float tensor of four. */
function valueInfo(name: string): Buffer {
  const shape = message(1, varintField(1, 4));
  const tensorType = Buffer.concat([varintField(1, float32), message(2, shape)]);
  return Buffer.concat([text(1, name), message(2, message(1, tensorType))]);
}

function text(field: number, value: string): Buffer {
  return message(field, Buffer.from(value));
}

function message(field: number, bytes: Buffer): Buffer {
  return Buffer.concat([varint(field * 8 + 2), varint(bytes.length), bytes]);
}

function varintField(field: number, value: number): Buffer {
  return Buffer.concat([varint(field * 8), varint(value)]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  return Buffer.from([...bytes, rest]);
}
