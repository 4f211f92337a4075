import { defineHandler } from "#contract/handler.ts";
import { firstFrameJob, textToVideoParameters } from "#contract/wan.ts";
import { referenceDefaults, unusedWanFields } from "#contract/wan-references.ts";
import { enhanceFirst, enhancementCalls } from "#pipelines/text/enhancement/enhance-first.ts";
import { generateExactClip } from "#pipelines/wan/generate-clip.ts";
import { modelCheck } from "#pipelines/wan/model-folder.ts";
import { readWanPrompt } from "#pipelines/wan/read-prompt.ts";

export default defineHandler({
  type: "i2v",
  worker: "wan",
  model: "i2v",
  modelCheck,
  produces: "video",
  description: "A clip that begins with a picture, from that and a prompt",
  input: firstFrameJob,
  parameters: textToVideoParameters,
  defaults: { num_inference_steps: 25, guidance_scale: 7.5 },
  defaultsFor: referenceDefaults,
  unusedFields: unusedWanFields,
  calls: enhancementCalls,
  retry: { maxAttempts: 3, timeoutSeconds: 1200 },
  readPrompt: readWanPrompt,
  run: enhanceFirst(generateExactClip, "wan"),
});
