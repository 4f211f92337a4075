import { defineHandler } from "#contract/handler.ts";
import { wanGenerateParameters, wanVideoJob } from "#contract/wan.ts";
import { unusedWanFields } from "#contract/wan-references.ts";
import { enhanceFirst, enhancementCalls } from "#pipelines/text/enhancement/enhance-first.ts";
import { generateExactClip } from "#pipelines/wan/generate-clip.ts";
import { modelCheck } from "#pipelines/wan/model-folder.ts";
import { readWanPrompt } from "#pipelines/wan/read-prompt.ts";

/** Pure inference: steps and guidance are the job's own, and as many frames are made as it says. */
export default defineHandler({
  type: "wan_generate",
  worker: "wan",
  model: "wan",
  modelCheck,
  produces: "video",
  description: "A clip, or with one frame a picture, from a prompt, with the job's own steps and guidance",
  input: wanVideoJob,
  parameters: wanGenerateParameters,
  unusedFields: unusedWanFields,
  calls: enhancementCalls,
  retry: { maxAttempts: 3, timeoutSeconds: 1200 },
  readPrompt: readWanPrompt,
  run: enhanceFirst(generateExactClip, "wan"),
});
