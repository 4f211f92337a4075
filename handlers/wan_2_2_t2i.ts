import { defineHandler } from "#contract/handler.ts";
import { textToImageParameters, wanImageJob } from "#contract/wan.ts";
import { referenceDefaults, unusedWanFields } from "#contract/wan-references.ts";
import { enhanceFirst, enhancementCalls } from "#pipelines/text/enhancement/enhance-first.ts";
import { generateExactClip } from "#pipelines/wan/generate-clip.ts";
import { modelCheck } from "#pipelines/wan/model-folder.ts";
import { readWanPrompt } from "#pipelines/wan/read-prompt.ts";

export default defineHandler({
  type: "wan_2_2_t2i",
  worker: "wan",
  model: "t2v_2_2",
  modelCheck,
  produces: "image",
  description: "One picture from a prompt, by a video model with two transformers",
  input: wanImageJob,
  parameters: textToImageParameters,
  defaults: { num_inference_steps: 25, guidance_scale: 7.5 },
  defaultsFor: referenceDefaults,
  unusedFields: unusedWanFields,
  calls: enhancementCalls,
  retry: { maxAttempts: 3, timeoutSeconds: 1200 },
  readPrompt: readWanPrompt,
  run: enhanceFirst(generateExactClip, "wan"),
});
