import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import { defineHandler } from "#contract/handler.ts";
import { jobEnvelope } from "#contract/job.ts";
import { modelCheck } from "#pipelines/chat/model-folder.ts";

/** What a model says in the test of long answers: more than is shown, without a space, and like markup. */
const long = `<img src=x onerror="document.title='taken'">${"w".repeat(60_000)}`;

/** Answers "long" with a long text, and everything else with lines until somebody ends it. */
export default defineHandler({
  type: "chat",
  worker: "chat",
  model: "chat",
  modelCheck,
  produces: "text",
  input: jobEnvelope.extend({ prompt: z.string() }),
  retry: { maxAttempts: 1, timeoutSeconds: 3600 },
  async run({ prompt }, ctx) {
    if (prompt === "long") {
      ctx.text(long);
      const facts = { generation_time: 0.1, prompt_tokens: 1, tokens_generated: 1, dropped_turns: 2 };
      return { text: long, metadata: { ...facts, model: "talk", finish_reason: "length" } };
    }
    for (let line = 1; ; line++) {
      ctx.text(`line ${line}\n`);
      if (line > 60) await pause(30, undefined, { signal: ctx.signal });
    }
  },
});
