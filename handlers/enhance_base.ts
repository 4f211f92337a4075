import { enhanceJob, enhanceParameters } from "#contract/chat.ts";
import { defineHandler } from "#contract/handler.ts";
import { enhanceByExamples } from "#pipelines/chat/enhance-prompt.ts";
import { modelCheck } from "#pipelines/chat/model-folder.ts";

export default defineHandler({
  type: "enhance_base",
  worker: "chat",
  model: "chat",
  modelCheck,
  produces: "text",
  description: "A fuller prompt of a short one, by a model that goes on with examples",
  input: enhanceJob,
  parameters: enhanceParameters,
  retry: { maxAttempts: 2, timeoutSeconds: 120 },
  run: enhanceByExamples,
});
