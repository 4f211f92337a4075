import { chatDefaults, chatJob, chatParameters } from "#contract/chat.ts";
import { defineHandler } from "#contract/handler.ts";
import { answerChat } from "#pipelines/chat/answer-chat.ts";
import { modelCheck } from "#pipelines/chat/model-folder.ts";

export default defineHandler({
  type: "chat",
  worker: "chat",
  model: "chat",
  modelCheck,
  produces: "text",
  description: "An answer to a question or a conversation",
  input: chatJob,
  parameters: chatParameters,
  defaults: chatDefaults,
  retry: { maxAttempts: 2, timeoutSeconds: 300 },
  run: answerChat,
});
