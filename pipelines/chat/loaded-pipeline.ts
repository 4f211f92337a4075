import { PipelineSlot } from "#pipelines/core/pipeline-slot.ts";
import { ChatPipeline } from "./pipeline.ts";

let slot: PipelineSlot<ChatPipeline> | undefined;

/**
 * The language model of this process; the first call decides.
 * @param maxWeightBytes for the model's weights; undefined: as the device has room
 */
export function loadedChat(maxWeightBytes: number | undefined): PipelineSlot<ChatPipeline> {
  slot ??= new PipelineSlot((folder) => ChatPipeline.load(folder, { maxWeightBytes }));
  return slot;
}
