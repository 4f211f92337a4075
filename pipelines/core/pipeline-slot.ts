import { basename } from "node:path";

/** What holds a model in memory until it is disposed of. */
export interface Disposable {
  dispose(): Promise<void>;
}

/** A pipeline, and the seconds that this use waited for it to load: 0 when it was there already. */
export interface LoadedPipeline<Pipeline> {
  readonly pipeline: Pipeline;
  readonly loadSeconds: number;
  /** Name of the model that was freed for it. */
  readonly freed?: string;
}

/**
 * Keeps one pipeline in memory. States: nothing loaded, or one folder loaded; a switch frees first and loads then, and
 * after a failed load nothing is loaded. Uses run one after another, so that none loses its pipeline to the next.
 */
export class PipelineSlot<Pipeline extends Disposable> {
  readonly #load: (folder: string) => Promise<Pipeline>;
  #loaded: { readonly folder: string; readonly pipeline: Pipeline } | undefined;
  #lastUse: Promise<unknown> = Promise.resolve();

  constructor(load: (folder: string) => Promise<Pipeline>) {
    this.#load = load;
  }

  /** Runs `work` with the pipeline of this folder. */
  use<Result>(folder: string, work: (loaded: LoadedPipeline<Pipeline>) => Promise<Result>): Promise<Result> {
    const result = this.#lastUse.then(async () => work(await this.#acquire(folder)));
    this.#lastUse = result.catch(() => undefined);
    return result;
  }

  async #acquire(folder: string): Promise<LoadedPipeline<Pipeline>> {
    if (this.#loaded?.folder === folder) return { pipeline: this.#loaded.pipeline, loadSeconds: 0 };
    const start = performance.now();
    const previous = this.#loaded;
    this.#loaded = undefined;
    await previous?.pipeline.dispose();
    const pipeline = await this.#load(folder);
    this.#loaded = { folder, pipeline };
    const freed = previous === undefined ? {} : { freed: basename(previous.folder) };
    return { pipeline, loadSeconds: (performance.now() - start) / 1000, ...freed };
  }
}
