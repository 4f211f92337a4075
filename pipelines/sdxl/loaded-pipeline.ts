import { PipelineSlot } from "#pipelines/core/pipeline-slot.ts";
import { SdxlPipeline } from "./pipeline.ts";

/** The pipeline of this process. */
export const loadedPipeline = new PipelineSlot((folder) => SdxlPipeline.load(folder));
