import { enhanceJob, enhanceParameters } from "#contract/chat.ts";
import { defineHandler } from "#contract/handler.ts";
import { enhanceByInstruction } from "#pipelines/chat/enhance-prompt.ts";
import { modelCheck } from "#pipelines/chat/model-folder.ts";

export default defineHandler({
  type: "enhance_instruct",
  worker: "chat",
  model: "chat",
  modelCheck,
  produces: "text",
  description: "A fuller prompt of a short one, by a model that follows instructions",
  input: enhanceJob,
  parameters: enhanceParameters,
  retry: { maxAttempts: 2, timeoutSeconds: 120 },
  run: enhanceByInstruction,
});
