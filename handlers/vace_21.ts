import { defineHandler } from "#contract/handler.ts";
import { vaceJob, vaceParameters } from "#contract/wan.ts";
import { unusedVaceFields } from "#contract/wan-control.ts";
import { referenceDefaults } from "#contract/wan-references.ts";
import { enhanceFirst, enhancementCalls } from "#pipelines/text/enhancement/enhance-first.ts";
import { generateControlledClip } from "#pipelines/wan/generate-clip.ts";
import { modelCheck } from "#pipelines/wan/model-folder.ts";
import { readWanPrompt } from "#pipelines/wan/read-prompt.ts";

export default defineHandler({
  type: "vace_21",
  worker: "wan",
  model: "vace_2_1",
  modelCheck,
  produces: "video",
  description: "A clip that follows a control video, a mask and pictures, by WAN 2.1",
  input: vaceJob,
  parameters: vaceParameters,
  defaults: { num_inference_steps: 25, guidance_scale: 7.5 },
  defaultsFor: referenceDefaults,
  unusedFields: unusedVaceFields,
  calls: enhancementCalls,
  retry: { maxAttempts: 3, timeoutSeconds: 1200 },
  readPrompt: readWanPrompt,
  run: enhanceFirst(generateControlledClip, "wan"),
});
