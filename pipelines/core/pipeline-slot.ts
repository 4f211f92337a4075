import { basename } from "node:path";
import { modelInvalid } from "./errors.ts";

/** What holds a model in memory until it is disposed of. */
export interface Disposable {
  dispose(): Promise<void>;
}

/** A model's folder as it is at this moment. */
export interface ModelFiles {
  /** Absolute path. */
  readonly path: string;
  /** Another one after a file was written to or replaced. */
  readonly version: string;
}

/** A pipeline, and the seconds that this use waited for it to load: 0 when it was there already. */
export interface LoadedPipeline<Pipeline> {
  readonly pipeline: Pipeline;
  readonly loadSeconds: number;
  /** Name of the model that was freed for it; its own, when its files have been replaced. */
  readonly freed?: string;
}

/**
 * Keeps one pipeline in memory. States: nothing loaded, or one folder loaded; a switch frees first and loads then, and
 * after a failed load nothing is loaded. Uses run one after another, so that none loses its pipeline to the next. A
 * pipeline whose files have been replaced is another one.
 */
export class PipelineSlot<Pipeline extends Disposable> {
  readonly #load: (folder: string) => Promise<Pipeline>;
  #loaded: { readonly files: ModelFiles; readonly pipeline: Pipeline } | undefined;
  #lastUse: Promise<unknown> = Promise.resolve();

  constructor(load: (folder: string) => Promise<Pipeline>) {
    this.#load = load;
  }

  /**
   * Runs `work` with the pipeline of the folder that `locate` finds when its turn has come.
   * @throws PipelineError MODEL_INVALID when the files changed while they were read; what `locate` and the loading throw
   */
  use<Result>(
    locate: () => Promise<ModelFiles>,
    work: (loaded: LoadedPipeline<Pipeline>) => Promise<Result>,
  ): Promise<Result> {
    const result = this.#lastUse.then(async () => work(await this.#acquire(locate)));
    this.#lastUse = result.catch(() => undefined);
    return result;
  }

  async #acquire(locate: () => Promise<ModelFiles>): Promise<LoadedPipeline<Pipeline>> {
    const files = await locate();
    if (this.#loaded && isSame(this.#loaded.files, files)) return { pipeline: this.#loaded.pipeline, loadSeconds: 0 };
    const start = performance.now();
    const previous = this.#loaded;
    this.#loaded = undefined;
    await previous?.pipeline.dispose();
    const pipeline = await this.#load(files.path);
    if (!isSame(files, await locate())) {
      // Parts of the old and of the new model may fit each other, and draw nonsense.
      await pipeline.dispose();
      throw modelInvalid(files.path, "the model was being replaced while it was loaded");
    }
    this.#loaded = { files, pipeline };
    const freed = previous === undefined ? {} : { freed: basename(previous.files.path) };
    return { pipeline, loadSeconds: (performance.now() - start) / 1000, ...freed };
  }
}

function isSame(one: ModelFiles, other: ModelFiles): boolean {
  return one.path === other.path && one.version === other.version;
}
