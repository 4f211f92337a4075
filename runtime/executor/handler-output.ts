import type { JobOutput } from "#contract/handler.ts";
import type { HandlerOutput } from "./protocol.ts";

/** What `run` returned, as its caller gets it. */
export function toOutput({ metadata, enhancedPrompt, text }: HandlerOutput): JobOutput {
  return {
    metadata,
    ...(enhancedPrompt === undefined ? {} : { enhanced_prompt: enhancedPrompt }),
    ...(text === undefined ? {} : { text }),
  };
}
