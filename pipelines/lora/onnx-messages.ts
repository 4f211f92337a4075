import { relative } from "node:path";
import { modelInvalid } from "#pipelines/core/errors.ts";
import {
  contentField,
  contentParts,
  type Field,
  fieldsOf,
  numbersOf,
  textOf,
  varintField,
} from "#pipelines/core/protobuf.ts";
import type { Tensor } from "#pipelines/core/tensor.ts";

/*
 * Messages of an ONNX file (onnx.proto), as far as layers and their weights are in them: `ModelProto`, `GraphProto`, `NodeProto`,
 * `TensorProto`. Read and written field by field, so that everything else stays as it is, byte for byte.
 */

/* Field numbers. */
const modelFields = { graph: 7 } as const;
export const graphFields = { node: 1, initializer: 5 } as const;
const nodeFields = { input: 1, output: 2, name: 3, operator: 4, attribute: 5 } as const;
const attributeFields = { name: 1, integer: 3 } as const;
const tensorFields = {
  dims: 1,
  dataType: 2,
  floatData: 4,
  name: 8,
  rawData: 9,
  externalData: 13,
  dataLocation: 14,
} as const;
const entryFields = { key: 1, value: 2 } as const;

/** `TensorProto.DataType` of the weights that are read and written here. */
export const dataTypes = { float32: 1, float16: 10 } as const;
const externalLocation = 1;

export interface Initializer {
  readonly name: string;
  readonly dims: readonly number[];
  readonly dataType: number;
  /** The values, unless they are elsewhere. */
  readonly raw: Uint8Array | undefined;
  readonly external: { readonly location: string; readonly offset: number; readonly length: number } | undefined;
}

interface GraphNode {
  readonly name: string;
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly transposesB: boolean;
}

/** Where new weights go that a graph does not hold itself. */
export interface WeightSink {
  /** Absolute path, below the folder that the graph's data is relative to. */
  readonly path: string;
  /** Appends; answers where the bytes begin. */
  append(bytes: Uint8Array): Promise<number>;
}

/** @throws PipelineError MODEL_INVALID when the file is no ONNX graph */
export function readGraph(path: string, model: Uint8Array) {
  const initializers = new Map<string, Initializer>();
  const nodes: GraphNode[] = [];
  try {
    for (const { number, content: graph } of fieldsOf(model)) {
      if (number !== modelFields.graph) continue;
      for (const field of fieldsOf(graph)) {
        if (field.number === graphFields.node) nodes.push(readNode(field.content));
        if (field.number !== graphFields.initializer) continue;
        const initializer = readInitializer(field.content);
        initializers.set(initializer.name, initializer);
      }
    }
  } catch (error) {
    throw modelInvalid(path, "the file is damaged; copy or export it again", error);
  }
  return { initializers, nodes };
}

function readNode(message: Uint8Array): GraphNode {
  const fields = [...fieldsOf(message)];
  const texts = (number: number) => fields.filter((field) => field.number === number).map(textOf);
  const transposesB = fields.some((field) => {
    if (field.number !== nodeFields.attribute) return false;
    const parts = [...fieldsOf(field.content)];
    const isTransB = parts.some((part) => part.number === attributeFields.name && textOf(part) === "transB");
    return isTransB && parts.some((part) => part.number === attributeFields.integer && part.value === 1);
  });
  return {
    name: texts(nodeFields.name)[0] ?? "",
    operator: texts(nodeFields.operator)[0] ?? "",
    inputs: texts(nodeFields.input),
    outputs: texts(nodeFields.output),
    transposesB,
  };
}

export function readInitializer(message: Uint8Array): Initializer {
  const dims: number[] = [];
  const entries = new Map<string, string>();
  let name = "";
  let dataType = 0;
  let raw: Uint8Array | undefined;
  let isExternal = false;
  for (const field of fieldsOf(message)) {
    if (field.number === tensorFields.dims) dims.push(...numbersOf(field));
    if (field.number === tensorFields.dataType) dataType = field.value;
    if (field.number === tensorFields.name) name = textOf(field);
    // Packed floats are four bytes each, little-endian: the same bytes.
    if (field.number === tensorFields.rawData || field.number === tensorFields.floatData) raw = field.content;
    if (field.number === tensorFields.dataLocation) isExternal = field.value === externalLocation;
    if (field.number === tensorFields.externalData) {
      const [key = "", value = ""] = [entryFields.key, entryFields.value].map((number) => {
        const part = [...fieldsOf(field.content)].find((one) => one.number === number);
        return part && textOf(part);
      });
      entries.set(key, value);
    }
  }
  const external = isExternal
    ? {
        location: entries.get("location") ?? "",
        offset: Number(entries.get("offset") ?? 0),
        length: Number(entries.get("length") ?? 0),
      }
    : undefined;
  return { name, dims, dataType, raw: isExternal ? undefined : raw, external };
}

/** Whether the values take as many bytes as those that are in the graph, and stand there now. */
export function overwrite({ raw, dataType }: Initializer, values: Tensor): boolean {
  const bytes = bytesOf(values, dataType);
  if (raw?.length !== bytes.length) return false;
  raw.set(bytes);
  return true;
}

function bytesOf({ data }: Tensor, dataType: number): Uint8Array {
  const values = dataType === dataTypes.float16 ? new Float16Array(data) : data;
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/**
 * A `TensorProto` in parts: weights are not copied.
 * @param root the folder that the sink's path is named relative to; with a sink the values go there, else into the message
 */
export async function encodeTensor(
  name: string,
  dataType: number,
  tensor: Tensor,
  root: string | undefined,
  sink: WeightSink | undefined,
): Promise<readonly Uint8Array[]> {
  const { dims } = tensor;
  const bytes = bytesOf(tensor, dataType);
  const head = [
    ...dims.map((size) => varintField(tensorFields.dims, size)),
    varintField(tensorFields.dataType, dataType),
    contentField(tensorFields.name, name),
  ];
  if (root === undefined || sink === undefined) return [...head, ...contentParts(tensorFields.rawData, bytes)];
  const offset = await sink.append(bytes);
  const entries = { location: relative(root, sink.path), offset: String(offset), length: String(bytes.length) };
  return [
    ...head,
    ...Object.entries(entries).map(([key, value]) => contentField(tensorFields.externalData, entry(key, value))),
    varintField(tensorFields.dataLocation, externalLocation),
  ];
}

function entry(key: string, value: string): Uint8Array[] {
  return [contentField(entryFields.key, key), contentField(entryFields.value, value)];
}

/** An initializer whose values are in another file now. */
export function relocate(initializer: Uint8Array, location: string): Uint8Array {
  const fields = [...fieldsOf(initializer)].map((field) => {
    const isLocation =
      field.number === tensorFields.externalData &&
      [...fieldsOf(field.content)].some((part) => part.number === entryFields.key && textOf(part) === "location");
    return isLocation ? contentField(tensorFields.externalData, entry("location", location)) : field.encoded;
  });
  return Buffer.concat(fields);
}

/** A node with another input, for nodes that are in `inputs`. */
export function renameInput(
  field: Field,
  inputs: ReadonlyMap<string, { readonly from: string; readonly to: string }>,
): Uint8Array {
  const parts = [...fieldsOf(field.content)];
  const name = parts.find((part) => part.number === nodeFields.name);
  const change = name && inputs.get(textOf(name));
  if (change === undefined) return field.encoded;
  return contentField(
    graphFields.node,
    parts.map((part) =>
      part.number === nodeFields.input && textOf(part) === change.from
        ? contentField(nodeFields.input, change.to)
        : part.encoded,
    ),
  );
}

/** Models have hundreds of megabytes: what stays as it is, and new weights, are copied once. */
export function rewriteModel(
  model: Uint8Array,
  rewrite: (field: Field) => readonly Uint8Array[],
  added: readonly Uint8Array[],
): Uint8Array {
  const parts = [...fieldsOf(model)].flatMap((field) =>
    field.number === modelFields.graph
      ? contentParts(modelFields.graph, [...[...fieldsOf(field.content)].flatMap(rewrite), ...added])
      : [field.encoded],
  );
  return Buffer.concat(parts);
}
