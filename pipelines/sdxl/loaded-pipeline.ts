import { PipelineSlot } from "#pipelines/core/pipeline-slot.ts";
import { SdxlPipeline } from "./pipeline.ts";

let slot: PipelineSlot<SdxlPipeline> | undefined;

/**
 * The pipeline of this process; the first call decides.
 * @param maxWeightBytes for the model's weights; undefined: as the device has room
 */
export function loadedPipeline(maxWeightBytes: number | undefined): PipelineSlot<SdxlPipeline> {
  slot ??= new PipelineSlot((folder) => SdxlPipeline.load(folder, { maxWeightBytes }));
  return slot;
}
