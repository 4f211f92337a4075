import { mkdtemp, open, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, parse, resolve } from "node:path";
import { PipelineError, unsupportedOption } from "#pipelines/core/errors.ts";
import type { Component, GraphInMemory } from "#pipelines/core/onnx.ts";
import { loraInvalid } from "./errors.ts";
import { loadGemm } from "./gemm.ts";
import { type LoraComponent, originalUnetNames } from "./layer-names.ts";
import { type LoraFile, openLora } from "./lora-file.ts";
import { type Change, mergeChanges } from "./merge.ts";
import { type NewWeights, OnnxGraph } from "./onnx-graph.ts";
import type { WeightSink } from "./onnx-messages.ts";

/** A LoRA and how much of it: 0 is none, 1 what it was trained for; negative turns it round. */
export interface Lora {
  /** The file. */
  readonly path: string;
  /** What it is called in messages; its path where it has no name. */
  readonly name?: string | undefined;
  /** Which content the file has: the SHA-256, or anything else that another file does not have. */
  readonly version: string;
  readonly strength: number;
}

/** The changes that some LoRA files make to the models of a pipeline. Holds the files open until it is closed. */
export class OpenLoras {
  readonly #files: readonly { readonly file: LoraFile; readonly strength: number }[];

  private constructor(files: readonly { readonly file: LoraFile; readonly strength: number }[]) {
    this.#files = files;
  }

  /** @throws PipelineError LORA_INVALID; what opening the files throws */
  static async open(loras: readonly Lora[]): Promise<OpenLoras> {
    const files: { file: LoraFile; strength: number }[] = [];
    try {
      for (const { path, name, strength } of loras) files.push({ file: await openLora(path, name), strength });
    } catch (error) {
      await new OpenLoras(files).close();
      throw error;
    }
    return new OpenLoras(files);
  }

  /** Whether any of them changes this model. */
  changes(component: LoraComponent): boolean {
    return this.#files.some(({ file }) => file.layers.some((layer) => layer.component === component));
  }

  /** @throws PipelineError LORA_INVALID when one changes a model that the pipeline does not have */
  checkUnchanged(component: LoraComponent): void {
    const changing = this.#files.find(({ file }) => file.layers.some((layer) => layer.component === component));
    if (changing === undefined) return;
    throw loraInvalid(changing.file.tensors.name, `it was made for another model: this one has no ${component}`);
  }

  /**
   * The graph of a model with all changes merged into its weights. The file itself stays as it is.
   * @param path the model's ONNX file
   * @throws PipelineError LORA_INVALID when a file does not fit the model, MODEL_INVALID, DISK_FULL; the signal's reason
   */
  async merge(component: LoraComponent, path: string, signal?: AbortSignal): Promise<MergedGraph> {
    const graph = await OnnxGraph.read(path);
    const changes = this.#changesByNode(component, graph);
    const gemm = await loadGemm();
    try {
      return await MergedGraph.write(graph, merged(graph, changes, gemm, signal));
    } finally {
      await gemm.dispose();
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#files.map(({ file }) => file.tensors.close()));
  }

  #changesByNode(component: LoraComponent, graph: OnnxGraph): Map<string, Change[]> {
    const originals = component === "unet" ? originalUnetNames(graph.layers.keys()) : new Map<string, string>();
    const changes = new Map<string, Change[]>();
    for (const { file, strength } of this.#files) {
      const own = file.layers.filter((layer) => layer.component === component);
      const missing: string[] = [];
      for (const layer of own) {
        const node = graph.layers.get(originals.get(layer.layer) ?? layer.layer)?.node;
        if (node === undefined) {
          missing.push(layer.module);
          continue;
        }
        const ofNode = changes.get(node) ?? [];
        ofNode.push({ file, layer, strength });
        changes.set(node, ofNode);
      }
      if (missing.length > 0) throw doesNotFit(file, graph, missing, own.length);
    }
    return changes;
  }
}

function doesNotFit({ tensors }: LoraFile, graph: OnnxGraph, missing: readonly string[], of: number): PipelineError {
  if (graph.layers.size === 0) {
    return unsupportedOption(
      `${graph.path}: its nodes have no names, so no LoRA can be merged; export the model again`,
    );
  }
  const problem = `it was made for another model: ${missing.length} of the ${of} layers that it changes are not there ("${missing[0]}")`;
  return loraInvalid(tensors.name, problem);
}

async function* merged(
  graph: OnnxGraph,
  changes: ReadonlyMap<string, readonly Change[]>,
  gemm: Component,
  signal: AbortSignal | undefined,
): AsyncGenerator<NewWeights> {
  const targets = new Map([...graph.layers.values()].map((layer) => [layer.node, layer]));
  for (const [node, own] of changes) {
    signal?.throwIfAborted();
    const target = targets.get(node);
    if (target === undefined) throw new RangeError(`the graph has no layer ${node}`);
    yield { node, values: await mergeChanges(await graph.weights(node), target, own, gemm) };
  }
}

/** A graph to load from, and the file that its new weights are in when the model's own are in files. */
export class MergedGraph implements GraphInMemory {
  readonly bytes: Uint8Array;
  readonly dataFolder: string;
  readonly #scratch: string | undefined;

  private constructor(bytes: Uint8Array, dataFolder: string, scratch: string | undefined) {
    this.bytes = bytes;
    this.dataFolder = dataFolder;
    this.#scratch = scratch;
  }

  static async write(graph: OnnxGraph, changes: AsyncIterable<NewWeights>): Promise<MergedGraph> {
    const folder = dirname(resolve(graph.path));
    if (!graph.isExternal) return new MergedGraph(await graph.withWeights(changes), folder, undefined);
    // Weights of gigabytes go to a file, which ONNX Runtime maps: in the graph they would be in memory twice. It takes
    // only files below one folder, and the model's folder may not be written to.
    await removeLeftScratch();
    const scratch = await mkdtemp(join(tmpdir(), `${scratchPrefix}${process.pid}-`));
    try {
      const { root } = parse(folder);
      if (parse(scratch).root !== root) {
        throw unsupportedOption(`a LoRA needs the folder for temporary files (${tmpdir()}) on the drive of ${folder}`);
      }
      const sink = await FileSink.open(join(scratch, "weights"));
      try {
        return new MergedGraph(await graph.withWeights(changes, root, sink), root, scratch);
      } finally {
        await sink.close();
      }
    } catch (error) {
      await rm(scratch, { recursive: true, force: true });
      throw error;
    }
  }

  /** Removes what was written for it. Call it when the session is there. */
  async dispose(): Promise<void> {
    if (this.#scratch !== undefined) await rm(this.#scratch, { recursive: true, force: true });
  }
}

const scratchPrefix = "ourvidz-lora-";

/** Gigabytes stay where a process was killed while it made a session of them. The next one to do so removes them. */
async function removeLeftScratch(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = new RegExp(`^${scratchPrefix}(\\d+)-`).exec(name)?.[1];
    if (pid !== undefined && !isRunning(Number(pid))) await rm(join(tmpdir(), name), { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

class FileSink implements WeightSink {
  readonly path: string;
  readonly #file: Awaited<ReturnType<typeof open>>;
  #length = 0;

  private constructor(path: string, file: Awaited<ReturnType<typeof open>>) {
    this.path = path;
    this.#file = file;
  }

  static async open(path: string): Promise<FileSink> {
    return new FileSink(path, await open(path, "w"));
  }

  async append(bytes: Uint8Array): Promise<number> {
    const offset = this.#length;
    // Aligned to pages, so that the weights can be used where they are mapped.
    const padded = Math.ceil(bytes.length / 4096) * 4096;
    try {
      for (let done = 0; done < bytes.length; ) {
        done += (await this.#file.write(bytes, done, bytes.length - done, offset + done)).bytesWritten;
      }
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOSPC") {
        const message = `${dirname(this.path)}: no room for the merged weights of a LoRA; free some, or let TMPDIR name another disk`;
        throw new PipelineError("DISK_FULL", message, { permanent: false, cause: error });
      }
      throw error;
    }
    this.#length = offset + padded;
    return offset;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}
