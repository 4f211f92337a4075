import { chatDefaults, chatJob, chatParameters } from "#contract/chat.ts";
import { defineHandler, maxTextCharacters } from "#contract/handler.ts";

const piece = "\u0001".repeat(10_000);

/** Answers with as much text as a handler may give, at once: six times as many bytes on the wire. */
export default defineHandler({
  type: "chat",
  worker: "chat",
  produces: "text",
  input: chatJob,
  parameters: chatParameters,
  defaults: chatDefaults,
  retry: { maxAttempts: 1, timeoutSeconds: 60 },
  async run(job, ctx) {
    const isLong = job.prompt === "long";
    for (let size = 0; isLong && size < maxTextCharacters; size += piece.length) ctx.text(piece);
    if (!isLong) ctx.text("short");
    const facts = { model: "none", generation_time: 0, prompt_tokens: 1, tokens_generated: 1, dropped_turns: 0 };
    return { text: "", metadata: { ...facts, finish_reason: "stop" } };
  },
});
