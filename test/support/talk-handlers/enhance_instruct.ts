import { once } from "node:events";
import { z } from "zod";
import { defineHandler } from "#contract/handler.ts";
import { jobEnvelope } from "#contract/job.ts";

/** Answers nothing until somebody ends it. */
export default defineHandler({
  type: "enhance_instruct",
  worker: "chat",
  produces: "text",
  input: jobEnvelope.extend({ prompt: z.string() }),
  retry: { maxAttempts: 1, timeoutSeconds: 3600 },
  async run(_job, ctx) {
    await once(ctx.signal, "abort");
    return {};
  },
});
