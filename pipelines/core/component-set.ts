import { join } from "node:path";
import { Component, type SessionSettings } from "./onnx.ts";

/**
 * The ONNX files of one model folder, each in memory from its first use until it is freed: a stage gets what it needs
 * and frees what no later stage reads, so that no more has to fit into memory than the largest stage.
 */
export class ComponentSet {
  readonly #folder: string;
  readonly #settings: SessionSettings;
  readonly #loaded = new Map<string, Component>();
  #millisecondsInRun = 0;
  #secondsLoading = 0;

  constructor(folder: string, settings: SessionSettings = {}) {
    this.#folder = folder;
    this.#settings = settings;
  }

  /**
   * The component of a file, loaded unless it is in memory.
   * @param file path in the model folder: `unet/model.onnx`
   * @throws what {@link Component.load} throws
   */
  async get(file: string): Promise<Component> {
    const known = this.#loaded.get(file);
    if (known !== undefined) return known;
    const start = performance.now();
    const component = await Component.load(join(this.#folder, file), this.#settings);
    this.#secondsLoading += (performance.now() - start) / 1000;
    this.#loaded.set(file, component);
    return component;
  }

  /** Gives a component's memory back; a later {@link get} loads it again. Nothing happens when it is not in memory. */
  async free(file: string): Promise<void> {
    const component = this.#loaded.get(file);
    if (component === undefined) return;
    this.#loaded.delete(file);
    this.#millisecondsInRun += component.millisecondsInRun;
    await component.dispose();
  }

  /** Gives all memory back. */
  async dispose(): Promise<void> {
    await Promise.all([...this.#loaded.keys()].map((file) => this.free(file)));
  }

  /** Files that are in memory, in the order of their loading. */
  get inMemory(): readonly string[] {
    return [...this.#loaded.keys()];
  }

  /** Time spent inside ONNX Runtime by all components so far, the freed ones included. */
  get millisecondsInRun(): number {
    return [...this.#loaded.values()].reduce((sum, one) => sum + one.millisecondsInRun, this.#millisecondsInRun);
  }

  /** Time spent on loading so far. */
  get secondsLoading(): number {
    return this.#secondsLoading;
  }
}
