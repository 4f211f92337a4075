import { defineHandler } from "#contract/handler.ts";
import { textToVideoParameters, wanVideoJob } from "#contract/wan.ts";
import { referenceDefaults, unusedWanFields } from "#contract/wan-references.ts";
import { enhanceFirst, enhancementCalls } from "#pipelines/text/enhancement/enhance-first.ts";
import { generateExactClip } from "#pipelines/wan/generate-clip.ts";
import { modelCheck } from "#pipelines/wan/model-folder.ts";
import { readWanPrompt } from "#pipelines/wan/read-prompt.ts";

export default defineHandler({
  type: "t2v",
  worker: "wan",
  model: "t2v",
  modelCheck,
  produces: "video",
  description: "A clip from a prompt, as the headless video system names it",
  input: wanVideoJob,
  parameters: textToVideoParameters,
  defaults: { num_inference_steps: 25, guidance_scale: 7.5 },
  defaultsFor: referenceDefaults,
  unusedFields: unusedWanFields,
  calls: enhancementCalls,
  retry: { maxAttempts: 3, timeoutSeconds: 1200 },
  readPrompt: readWanPrompt,
  run: enhanceFirst(generateExactClip, "wan"),
});
