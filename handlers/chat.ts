import { chatJob, chatParameters } from "#contract/chat.ts";
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
  defaults: { max_tokens: 512, temperature: 0.7, top_p: 0.9, repetition_penalty: 1.1 },
  retry: { maxAttempts: 2, timeoutSeconds: 300 },
  run: answerChat,
});
