import { defineHandler } from "#contract/handler.ts";
import { wanImageJob, wanImageParameters } from "#contract/wan.ts";
import { referenceDefaults, unusedWanFields } from "#contract/wan-references.ts";
import { enhanceFirst, enhancementCalls } from "#pipelines/text/enhancement/enhance-first.ts";
import { generateExactClip } from "#pipelines/wan/generate-clip.ts";
import { modelCheck } from "#pipelines/wan/model-folder.ts";
import { readWanPrompt } from "#pipelines/wan/read-prompt.ts";

export default defineHandler({
  type: "image7b_fast_enhanced",
  worker: "wan",
  model: "wan",
  modelCheck,
  produces: "image",
  description: "One picture from a prompt, in few steps of a video model, its prompt enhanced first",
  input: wanImageJob,
  parameters: wanImageParameters,
  defaults: { enhance_prompt: true, num_inference_steps: 25, guidance_scale: 6.5 },
  defaultsFor: referenceDefaults,
  unusedFields: unusedWanFields,
  calls: enhancementCalls,
  retry: { maxAttempts: 3, timeoutSeconds: 600 },
  readPrompt: readWanPrompt,
  run: enhanceFirst(generateExactClip, "wan"),
});
