import { open, readFile, realpath } from "node:fs/promises";
import { dirname, relative, resolve } from "node:path";
import { modelInvalid } from "#pipelines/core/errors.ts";
import { contentField, contentParts } from "#pipelines/core/protobuf.ts";
import { elementCount, type Tensor } from "#pipelines/core/tensor.ts";
import { layerOfNode } from "./layer-names.ts";
import {
  dataTypes,
  encodeTensor,
  graphFields,
  type Initializer,
  overwrite,
  readGraph,
  readInitializer,
  relocate,
  renameInput,
  rewriteModel,
  type WeightSink,
} from "./onnx-messages.ts";

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
    const { initializers, nodes } = readGraph(path, model);
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
