import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { needsMoreMemory } from "./errors.ts";
import { Component, type SessionSettings } from "./onnx.ts";

/** Makes another graph of a file's content, with the same external data. @throws PipelineError when it cannot */
export type Rewrite = (model: Uint8Array) => Uint8Array;

/** What may be in memory together. */
export interface MemoryLimit {
  readonly maxBytes: number;
  /** Bytes of weights by file, in the order in which a run uses the files. */
  readonly weightBytes: ReadonlyMap<string, number>;
  /** Files that many runs do without: they go first. */
  readonly rarelyUsed: readonly string[];
  /** Bytes that the machine can still give; when absent, it is not asked before a file is loaded. */
  freeBytes?(): Promise<number>;
}

/** Other weights for a file: the key names them, and `load` makes a component that has them. */
export interface Variant {
  readonly key: string;
  /** @param rewrite applied to the graph that has the other weights */
  load(path: string, settings: SessionSettings, rewrite: Rewrite | undefined): Promise<Component>;
}

/**
 * The ONNX files of one model folder, each loaded at its first use. Within a {@link MemoryLimit} they stay; beyond it, one
 * that comes makes others go, so that no more than the largest has to fit into memory.
 */
export class ComponentSet {
  readonly #folder: string;
  readonly #settings: SessionSettings;
  readonly #loaded = new Map<string, Component>();
  readonly #variants = new Map<string, Variant>();
  readonly #rewrites = new Map<string, Rewrite>();
  #limit: MemoryLimit | undefined;
  #millisecondsInRun = 0;
  #secondsLoading = 0;
  #loads = 0;

  constructor(folder: string, settings: SessionSettings = {}) {
    this.#folder = folder;
    this.#settings = settings;
  }

  /** From now on; without it, all that is loaded stays. */
  limitMemory(limit: MemoryLimit): void {
    this.#limit = limit;
  }

  /** Whether these files fit into memory together. */
  fits(files: readonly string[]): boolean {
    return this.#limit === undefined || this.#sum(files) <= this.#limit.maxBytes;
  }

  /**
   * Whether each file would have room alone, before any is loaded.
   * @throws PipelineError MODEL_TOO_LARGE
   */
  async checkRoom(): Promise<void> {
    if (this.#limit === undefined) return;
    const [largest] = [...this.#limit.weightBytes].sort(([, a], [, b]) => b - a);
    if (largest !== undefined) await this.#checkRoomFor(largest[0]);
  }

  /**
   * The component of a file, loaded unless it is in memory.
   * @param file path in the model folder: `unet/model.onnx`
   * @param beside files that run by turns with it: they stay where they are
   * @throws what {@link Component.load} throws
   */
  async get(file: string, beside: readonly string[] = []): Promise<Component> {
    const variant = this.#variants.get(file);
    const id = idOf(file, variant);
    const known = this.#loaded.get(id);
    if (known !== undefined) return known;
    const start = performance.now();
    await this.#makeRoom(file, beside);
    await this.#checkRoomFor(file);
    const path = join(this.#folder, file);
    const component = await this.#load(path, variant, this.#rewrites.get(file));
    this.#secondsLoading += (performance.now() - start) / 1000;
    this.#loads++;
    this.#loaded.set(id, component);
    return component;
  }

  /**
   * What {@link get} gives of a file from now on: a variant of it, or the file itself. Components that are not wanted now
   * stay in memory while the limit has room for them; without a limit they go at once.
   */
  async choose(file: string, variant: Variant | undefined): Promise<void> {
    const before = idOf(file, this.#variants.get(file));
    if (variant === undefined) this.#variants.delete(file);
    else this.#variants.set(file, variant);
    if (this.#limit === undefined && before !== idOf(file, variant)) await this.#freeId(before);
  }

  /**
   * From now on the file's graph, a variant's too, is loaded as `rewrite` makes it; undefined: as it is. What is in memory
   * goes at once.
   */
  async rewrite(file: string, rewrite: Rewrite | undefined): Promise<void> {
    if (rewrite === undefined) this.#rewrites.delete(file);
    else this.#rewrites.set(file, rewrite);
    await this.free(file);
  }

  async #load(path: string, variant: Variant | undefined, rewrite: Rewrite | undefined): Promise<Component> {
    if (variant !== undefined) return variant.load(path, this.#settings, rewrite);
    if (rewrite === undefined) return Component.load(path, this.#settings);
    const bytes = rewrite(await readFile(path));
    return Component.load(path, this.#settings, { bytes, dataFolder: dirname(path) });
  }

  /** Gives a component's memory back; a later {@link get} loads it again. Nothing happens when it is not in memory. */
  async free(file: string): Promise<void> {
    const ids = [...this.#loaded.keys()].filter((id) => fileOf(id) === file);
    for (const id of ids) await this.#freeId(id);
  }

  async #freeId(id: string): Promise<void> {
    const component = this.#loaded.get(id);
    if (component === undefined) return;
    this.#loaded.delete(id);
    this.#millisecondsInRun += component.millisecondsInRun;
    await component.dispose();
  }

  /** Gives all memory back. */
  async dispose(): Promise<void> {
    await Promise.all([...this.#loaded.keys()].map((id) => this.#freeId(id)));
  }

  /** Files that are in memory, in the order of their loading. */
  get inMemory(): readonly string[] {
    return [...this.#loaded.keys()].map(fileOf);
  }

  /** Time spent inside ONNX Runtime by all components so far, the freed ones included. */
  get millisecondsInRun(): number {
    return [...this.#loaded.values()].reduce((sum, one) => sum + one.millisecondsInRun, this.#millisecondsInRun);
  }

  /** Time spent on loading so far. */
  get secondsLoading(): number {
    return this.#secondsLoading;
  }

  /** How often a component was loaded so far. */
  get loads(): number {
    return this.#loads;
  }

  async #checkRoomFor(file: string): Promise<void> {
    const freeBytes = await this.#limit?.freeBytes?.();
    const needBytes = this.#limit?.weightBytes.get(file);
    if (freeBytes === undefined || needBytes === undefined || needBytes <= freeBytes) return;
    throw needsMoreMemory(join(this.#folder, file), needBytes, freeBytes);
  }

  /** Runs repeat, so what was used just before `file` is needed last. */
  async #makeRoom(file: string, beside: readonly string[]): Promise<void> {
    if (this.#limit === undefined) return;
    const { maxBytes, weightBytes, rarelyUsed } = this.#limit;
    const wanted = new Set([...weightBytes.keys()].map((one) => idOf(one, this.#variants.get(one))));
    for (const id of [...this.#loaded.keys()].filter((one) => !wanted.has(one))) {
      if (this.#sum([...this.inMemory, file]) <= maxBytes) return;
      await this.#freeId(id);
    }
    const order = [...weightBytes.keys()];
    const at = order.indexOf(file);
    const neededLastFirst = [...order.slice(at + 1), ...order.slice(0, Math.max(at, 0))].reverse();
    for (const other of [...rarelyUsed, ...neededLastFirst].filter((one) => !beside.includes(one))) {
      if (this.#sum([...this.inMemory, file]) <= maxBytes) return;
      await this.free(other);
    }
  }

  #sum(files: readonly string[]): number {
    return files.reduce((sum, file) => sum + (this.#limit?.weightBytes.get(file) ?? 0), 0);
  }
}

function idOf(file: string, variant: Variant | undefined): string {
  return variant === undefined ? file : `${file}#${variant.key}`;
}

function fileOf(id: string): string {
  const end = id.indexOf("#");
  return end < 0 ? id : id.slice(0, end);
}
