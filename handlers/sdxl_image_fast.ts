import { defineHandler } from "#contract/handler.ts";
import { sdxlJob, sdxlParameters, unusedSdxlFields } from "#contract/sdxl.ts";
import { referenceDefaults } from "#contract/sdxl-references.ts";
import { generateImages } from "#pipelines/sdxl/generate-images.ts";
import { modelCheck } from "#pipelines/sdxl/model-folder.ts";
import { readSdxlPrompt } from "#pipelines/sdxl/read-prompt.ts";
import { enhanceFirst, enhancementCalls } from "#pipelines/text/enhancement/enhance-first.ts";

export default defineHandler({
  type: "sdxl_image_fast",
  worker: "sdxl",
  model: "sdxl",
  modelCheck,
  produces: "image",
  description: "1, 3 or 6 pictures from a prompt, in few steps",
  input: sdxlJob,
  parameters: sdxlParameters,
  defaults: { num_inference_steps: 15, guidance_scale: 6.0 },
  defaultsFor: referenceDefaults,
  unusedFields: unusedSdxlFields,
  calls: enhancementCalls,
  retry: { maxAttempts: 3, timeoutSeconds: 300 },
  readPrompt: readSdxlPrompt,
  run: enhanceFirst(generateImages, "sdxl"),
});
