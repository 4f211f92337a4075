import { join } from "node:path";
import { PipelineSlot } from "#pipelines/core/pipeline-slot.ts";
import { EmbeddingCache } from "#pipelines/diffusion/embedding-cache.ts";
import { WanPipeline } from "./pipeline.ts";

let slot: PipelineSlot<WanPipeline> | undefined;

/** What the pipeline of a process is made with. */
export interface LoadingHost {
  /** Where text embeddings are kept. */
  readonly cacheFolder: string;
  /** For the model's weights; undefined: as the device has room. */
  readonly modelMemoryBytes?: number | undefined;
}

/** The pipeline of this process; the host of the first call decides. */
export function loadedPipeline({ cacheFolder, modelMemoryBytes }: LoadingHost): PipelineSlot<WanPipeline> {
  if (slot === undefined) {
    const embeddings = new EmbeddingCache({ folder: join(cacheFolder, "embeddings") });
    slot = new PipelineSlot((folder) => WanPipeline.load(folder, { embeddings, maxWeightBytes: modelMemoryBytes }));
  }
  return slot;
}
