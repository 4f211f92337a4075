/* What an ONNX file states of one tensor, and what follows for the bytes that hold it. */

/** Fields of `TensorProto`. */
export const tensorFields = { dims: 1, dataType: 2, name: 8, rawData: 9, externalData: 13, dataLocation: 14 } as const;

export interface TensorFacts {
  name: string;
  readonly dims: number[];
  dataType: number;
  /** Length of the field `raw_data`; null when the values are elsewhere. */
  rawBytes: number | null;
  isExternal: boolean;
  readonly entries: (readonly [string, string])[];
}

/** What of another file's bytes is needed: all up to `endByte`, for the sake of `tensor`, which ends last. */
export interface ExternalData {
  readonly endByte: number;
  readonly tensor: string;
}

/** Names of the types that weights come in, by `TensorProto.DataType`. */
const dataTypeNames: Readonly<Record<number, string>> = {
  1: "float32",
  2: "uint8",
  3: "int8",
  10: "float16",
  11: "float64",
  16: "bfloat16",
  17: "float8",
  18: "float8",
  19: "float8",
  20: "float8",
  21: "uint4",
  22: "int4",
};

/** Indices, shapes and the like are "other". */
export function dataTypeName({ dataType }: Pick<TensorFacts, "dataType">): string {
  return dataTypeNames[dataType] ?? "other";
}

/** Bits of one element by `TensorProto.DataType`; strings (8) have no fixed size. */
const elementBits: Readonly<Record<number, number>> = {
  1: 32,
  2: 8,
  3: 8,
  4: 16,
  5: 16,
  6: 32,
  7: 64,
  9: 8,
  10: 16,
  11: 64,
  12: 32,
  13: 64,
  14: 64,
  15: 128,
  16: 16,
  17: 8,
  18: 8,
  19: 8,
  20: 8,
  21: 4,
  22: 4,
  23: 4,
  24: 8,
  25: 2,
  26: 2,
};

/** Bytes that its shape and type make; null for a type that is not known here. */
export function computedBytes({ dims, dataType }: TensorFacts): number | null {
  const bits = elementBits[dataType];
  return bits === undefined ? null : Math.ceil((dims.reduce((product, size) => product * size, 1) * bits) / 8);
}

/** What is wrong with the values inside the file; null when nothing is, or when they are not raw bytes. */
export function contentProblem(facts: TensorFacts): string | null {
  const expected = computedBytes(facts);
  if (facts.rawBytes === null || expected === null || facts.rawBytes === expected) return null;
  return `is damaged: its weights "${facts.name}" have ${facts.rawBytes} bytes where ${expected} belong; export it again`;
}

/** Adds what the tensor needs of its file. Returns what is wrong with the entry itself; null when nothing is. */
export function addExternal(external: Map<string, ExternalData>, facts: TensorFacts): string | null {
  const entry = new Map(facts.entries);
  const location = entry.get("location");
  const offset = byteCount(entry.get("offset"));
  const length = byteCount(entry.get("length"));
  const expected = computedBytes(facts);
  if (location === undefined || location === "" || offset === null || length === null)
    return `is damaged: it does not say where its weights "${facts.name}" lie; export it again`;
  if (length !== undefined && expected !== null && length !== expected)
    return `is damaged: its weights "${facts.name}" have ${length} bytes where ${expected} belong; export it again`;
  const endByte = (offset ?? 0) + (length ?? expected ?? 0);
  const known = external.get(location);
  if (known === undefined || known.endByte < endByte) external.set(location, { endByte, tensor: facts.name });
  return null;
}

/** Undefined when there is none, null when it is no number of bytes. */
function byteCount(text: string | undefined): number | null | undefined {
  if (text === undefined) return undefined;
  return /^\d{1,16}$/.test(text) ? Number(text) : null;
}
