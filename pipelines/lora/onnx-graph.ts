import { open, readFile, realpath } from "node:fs/promises";
import { dirname, relative, resolve } from "node:path";
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
import { elementCount, type Tensor } from "#pipelines/core/tensor.ts";
import { layerOfNode } from "./layer-names.ts";

/* Field numbers of onnx.proto. */
const modelFields = { graph: 7 } as const;
const graphFields = { node: 1, initializer: 5 } as const;
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
const dataTypes = { float32: 1, float16: 10 } as const;
const externalLocation = 1;

interface Initializer {
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

/** A layer whose weights are a matrix or a convolution's kernel. */
export interface Layer {
  readonly node: string;
  /** `[out, in]` or `[out, in, height, width]`, or `[in, out]` when it is stored transposed. */
  readonly dims: readonly number[];
  readonly transposed: boolean;
}

/** New weights of one layer, in the layer's own shape. */
export interface NewWeights {
  readonly node: string;
  readonly values: Tensor;
}

/** Where new weights go that a graph does not hold itself. */
export interface WeightSink {
  /** Absolute path, below the folder that the graph's data is relative to. */
  readonly path: string;
  /** Appends; answers where the bytes begin. */
  append(bytes: Uint8Array): Promise<number>;
}

/** The graph of an ONNX file: its layers by name, and the same graph again with other weights. */
export class OnnxGraph {
  readonly path: string;
  readonly #model: Uint8Array;
  readonly #initializers: ReadonlyMap<string, Initializer>;
  /** Which initializer a node's weights come from: through the cast that a weight may be stored behind. */
  readonly #weights: ReadonlyMap<string, { readonly initializer: string; readonly input: string }>;
  readonly #users: ReadonlyMap<string, number>;
  /** By {@link layerOfNode}'s name. */
  readonly layers: ReadonlyMap<string, Layer>;

  private constructor(path: string, model: Uint8Array) {
    this.path = path;
    this.#model = model;
    const { initializers, nodes } = parse(path, model);
    this.#initializers = initializers;
    const casts = new Map(
      nodes.flatMap(({ operator, inputs: [input], outputs: [output] }) =>
        operator === "Cast" && input !== undefined && output !== undefined && initializers.has(input)
          ? [[output, input] as const]
          : [],
      ),
    );
    const layers = new Map<string, Layer>();
    const weights = new Map<string, { initializer: string; input: string }>();
    const users = new Map<string, number>();
    for (const node of nodes) {
      if (node.operator === "Cast" && initializers.has(node.inputs[0] ?? "")) continue;
      for (const input of node.inputs) {
        const source = casts.get(input) ?? input;
        if (initializers.has(source)) users.set(source, (users.get(source) ?? 0) + 1);
      }
      const input = node.inputs[1] ?? "";
      const initializer = initializers.get(casts.get(input) ?? input);
      if (initializer === undefined || !["MatMul", "Gemm", "Conv"].includes(node.operator)) continue;
      weights.set(node.name, { initializer: initializer.name, input });
      const transposed = node.operator === "MatMul" || (node.operator === "Gemm" && !node.transposesB);
      layers.set(layerOfNode(node.name), { node: node.name, dims: initializer.dims, transposed });
    }
    this.#weights = weights;
    this.#users = users;
    this.layers = layers;
  }

  /** @throws PipelineError MODEL_INVALID when the file is no ONNX graph */
  static async read(path: string): Promise<OnnxGraph> {
    return new OnnxGraph(path, await readFile(path));
  }

  /** Whether its weights lie in files of their own. */
  get isExternal(): boolean {
    return [...this.#initializers.values()].some(({ external }) => external !== undefined);
  }

  /**
   * The weights of a layer as float32.
   * @throws PipelineError MODEL_INVALID when they are of a type that cannot be merged into, or not whole
   */
  async weights(node: string): Promise<Tensor> {
    const { name, dims, dataType, raw, external } = this.#initializerOf(node);
    const bytes = raw ?? (external && (await readPart(resolve(dirname(this.path), external.location), external)));
    const wanted = elementCount(dims) * (dataType === dataTypes.float16 ? 2 : 4);
    if (dataType !== dataTypes.float32 && dataType !== dataTypes.float16) {
      throw modelInvalid(this.path, `a LoRA can be merged into float32 and float16 weights, and "${name}" are others`);
    }
    if (bytes?.length !== wanted) throw modelInvalid(this.path, `the weights "${name}" are not whole; export it again`);
    const own = new Uint8Array(bytes).buffer;
    return {
      data: dataType === dataTypes.float32 ? new Float32Array(own) : new Float32Array(new Float16Array(own)),
      dims,
    };
  }

  /**
   * The ONNX file with other weights in some layers. One initializer that several layers share stays as it is for the
   * others. New weights that the graph holds itself are written over its own: it is used up then.
   * @param root when given, what the graph does not hold itself is named relative to this folder
   * @param sink when given, the new weights go there
   */
  async withWeights(changes: AsyncIterable<NewWeights>, root?: string, sink?: WeightSink): Promise<Uint8Array> {
    const replaced = new Map<string, readonly Uint8Array[]>();
    const added: Uint8Array[] = [];
    const inputs = new Map<string, { readonly from: string; readonly to: string }>();
    for await (const { node, values } of changes) {
      const { initializer, input } = this.#weightsOf(node);
      const known = this.#initializerOf(node);
      if (this.#users.get(initializer) === 1) {
        if (sink === undefined && overwrite(known, values)) continue;
        replaced.set(initializer, await encodeTensor(known.name, known.dataType, values, root, sink));
      } else {
        const own = `${initializer}:${node}`;
        const type = input === initializer ? known.dataType : dataTypes.float32;
        const content = await encodeTensor(own, type, values, root, sink);
        added.push(...contentParts(graphFields.initializer, content));
        inputs.set(node, { from: input, to: own });
      }
    }
    // Nothing is to be moved: hundreds of megabytes need not be copied.
    if (root === undefined && replaced.size === 0 && added.length === 0) return this.#model;
    const moved = root === undefined ? new Map<string, string>() : await this.#locationsBelow(root);
    return rewriteModel(
      this.#model,
      (field) => {
        if (field.number === graphFields.node) return [renameInput(field, inputs)];
        if (field.number !== graphFields.initializer) return [field.encoded];
        const { name, external } = readInitializer(field.content);
        const content = replaced.get(name);
        if (content !== undefined) return contentParts(graphFields.initializer, content);
        const location = external && moved.get(external.location);
        return location === undefined
          ? [field.encoded]
          : [contentField(graphFields.initializer, relocate(field.content, location))];
      },
      added,
    );
  }

  #weightsOf(node: string): { readonly initializer: string; readonly input: string } {
    const weights = this.#weights.get(node);
    if (weights === undefined) throw new RangeError(`the graph has no layer ${node}`);
    return weights;
  }

  #initializerOf(node: string): Initializer {
    const initializer = this.#initializers.get(this.#weightsOf(node).initializer);
    if (initializer === undefined) throw new RangeError(`the graph has no weights of ${node}`);
    return initializer;
  }

  /** Links are followed: ONNX Runtime refuses data that a link leads out of its folder. */
  async #locationsBelow(root: string): Promise<Map<string, string>> {
    const locations = new Set([...this.#initializers.values()].flatMap(({ external }) => external?.location ?? []));
    const folder = dirname(this.path);
    return new Map(
      await Promise.all(
        [...locations].map(
          async (location) => [location, relative(root, await realpath(resolve(folder, location)))] as const,
        ),
      ),
    );
  }
}

function parse(path: string, model: Uint8Array) {
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

function readInitializer(message: Uint8Array): Initializer {
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

async function readPart(path: string, { offset, length }: { offset: number; length: number }): Promise<Uint8Array> {
  const file = await open(path, "r");
  try {
    const bytes = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const { bytesRead } = await file.read(bytes, done, length - done, offset + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return bytes.subarray(0, done);
  } finally {
    await file.close();
  }
}

/** Whether the values take as many bytes as those that are in the graph, and stand there now. */
function overwrite({ raw, dataType }: Initializer, values: Tensor): boolean {
  const bytes = bytesOf(values, dataType);
  if (raw?.length !== bytes.length) return false;
  raw.set(bytes);
  return true;
}

function bytesOf({ data }: Tensor, dataType: number): Uint8Array {
  const values = dataType === dataTypes.float16 ? new Float16Array(data) : data;
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** The message in parts: weights are not copied. */
async function encodeTensor(
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

function relocate(initializer: Uint8Array, location: string): Uint8Array {
  const fields = [...fieldsOf(initializer)].map((field) => {
    const isLocation =
      field.number === tensorFields.externalData &&
      [...fieldsOf(field.content)].some((part) => part.number === entryFields.key && textOf(part) === "location");
    return isLocation ? contentField(tensorFields.externalData, entry("location", location)) : field.encoded;
  });
  return Buffer.concat(fields);
}

function renameInput(
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
function rewriteModel(
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
