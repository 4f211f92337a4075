import { join } from "node:path";
import { PipelineSlot } from "#pipelines/core/pipeline-slot.ts";
import { EmbeddingCache } from "#pipelines/diffusion/embedding-cache.ts";
import { WanPipeline } from "./pipeline.ts";

let slot: PipelineSlot<WanPipeline> | undefined;

/** The pipeline of this process. @param cacheFolder where text embeddings are kept; that of the first call stays */
export function loadedPipeline(cacheFolder: string): PipelineSlot<WanPipeline> {
  if (slot === undefined) {
    const embeddings = new EmbeddingCache({ folder: join(cacheFolder, "embeddings") });
    slot = new PipelineSlot((folder) => WanPipeline.load(folder, { embeddings }));
  }
  return slot;
}
