import { defineHandler } from "#contract/handler.ts";
import { wanVideoJob, wanVideoParameters } from "#contract/wan.ts";
import { referenceDefaults, unusedWanFields } from "#contract/wan-references.ts";
import { enhanceFirst, enhancementCalls } from "#pipelines/text/enhancement/enhance-first.ts";
import { generateRoundedClip } from "#pipelines/wan/generate-clip.ts";
import { modelCheck } from "#pipelines/wan/model-folder.ts";
import { readWanPrompt } from "#pipelines/wan/read-prompt.ts";

export default defineHandler({
  type: "video7b_high_enhanced",
  worker: "wan",
  model: "wan",
  modelCheck,
  produces: "video",
  description: "A clip from a prompt, in many steps, its prompt enhanced first",
  input: wanVideoJob,
  parameters: wanVideoParameters,
  defaults: { enhance_prompt: true, num_inference_steps: 50, guidance_scale: 7.5 },
  defaultsFor: referenceDefaults,
  unusedFields: unusedWanFields,
  calls: enhancementCalls,
  retry: { maxAttempts: 3, timeoutSeconds: 1200 },
  readPrompt: readWanPrompt,
  run: enhanceFirst(generateRoundedClip, "wan"),
});
