import { defineHandler } from "#contract/handler.ts";
import { sdxlGenerateParameters, sdxlJob, unusedSdxlFields } from "#contract/sdxl.ts";
import { generateImages } from "#pipelines/sdxl/generate-images.ts";
import { modelCheck } from "#pipelines/sdxl/model-folder.ts";
import { readSdxlPrompt } from "#pipelines/sdxl/read-prompt.ts";
import { enhanceFirst, enhancementCalls } from "#pipelines/text/enhancement/enhance-first.ts";

/** Pure inference: steps and guidance are the job's own, and nothing is assumed for it. */
export default defineHandler({
  type: "sdxl_generate",
  worker: "sdxl",
  model: "sdxl",
  modelCheck,
  produces: "image",
  description: "1 to 6 pictures from a prompt, with the job's own steps and guidance",
  input: sdxlJob,
  parameters: sdxlGenerateParameters,
  unusedFields: unusedSdxlFields,
  calls: enhancementCalls,
  retry: { maxAttempts: 3, timeoutSeconds: 300 },
  readPrompt: readSdxlPrompt,
  run: enhanceFirst(generateImages, "sdxl"),
});
