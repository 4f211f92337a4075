import { access } from "node:fs/promises";
import { z } from "zod";
import { PermanentError, RetryableError } from "#contract/errors.ts";
import { defineHandler } from "#contract/handler.ts";
import { jobEnvelope } from "#contract/job.ts";

/** Hands over its prompt as a text file; fails while the file that it needs is not there, and for good with `refuse`. */
export default defineHandler({
  type: "note",
  worker: "media",
  produces: "text",
  description: "A note, as a text file",
  input: jobEnvelope.extend({
    prompt: z.string("must be a text").min(1, "must not be empty"),
    config: z.looseObject({ needs: z.string().optional(), refuse: z.string().optional() }),
  }),
  retry: { maxAttempts: 1, timeoutSeconds: 60 },
  async run({ prompt, config: { needs, refuse } }, ctx) {
    if (refuse !== undefined) throw new PermanentError(refuse);
    if (needs !== undefined) {
      await access(needs).catch(() => {
        throw new RetryableError("<b>The file</b> that the note needs is not there.", { code: "INPUT_NOT_FOUND" });
      });
    }
    await ctx.asset(Buffer.from(prompt), { type: "text", extension: "txt", mimeType: "text/plain" });
    return {};
  },
});
