import { access } from "node:fs/promises";
import { basename } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import { PermanentError, RetryableError } from "#contract/errors.ts";
import { optionalReference } from "#contract/fields.ts";
import { defineHandler } from "#contract/handler.ts";
import { defaulted, jobEnvelope } from "#contract/job.ts";

/*
 * A job that does as a test wishes: it takes step 1 of 2 and shows a preview, waits until the file `gate` exists, takes
 * step 2, and hands over a text file of `size` bytes.
 */
export default defineHandler({
  type: "gated",
  worker: "test",
  produces: "text",
  input: jobEnvelope.extend({
    prompt: z.string("must be a text").min(1, "must not be empty"),
    config: z.looseObject({
      gate: z.string().optional(),
      size: z.number().int("must be a whole number").min(1, "must be at least 1").default(10),
      timeout_seconds: z.number().max(7200, "must be at most 7,200").optional(),
      /** Fails for good. */
      fail: z.string().optional(),
      /** Fails in each attempt, and might not in another run; five in a row do not keep the container from the next. */
      stumble: z.string().optional(),
    }),
    /** Not looked at. */
    metadata: defaulted(z.looseObject({ reference_image_url: optionalReference }).prefault({})),
  }),
  async readPrompt({ prompt }, modelFolder) {
    if (prompt === "never") while (true) Math.random();
    if (prompt === "die") process.exit(3);
    if (prompt === "refuse") throw new PermanentError("there are 7 terms", { code: "INVALID_JOB" });
    const tokens = prompt.split(" ").map((text) => ({ text, weight: 1 }));
    return {
      enhancement_strategy: "none",
      texts: [
        {
          field: "prompt",
          fragments: [{ text: prompt, weight: 1 }],
          encoders: [{ name: basename(modelFolder), tokens: tokens.length }],
          tokens,
          chunks: 1,
          max_tokens: null,
          cut_tokens: 0,
        },
      ],
      embeddings: {},
    };
  },
  retry: { maxAttempts: 2, timeoutSeconds: 60, backoffSeconds: 0.05 },
  async run({ config }, ctx) {
    ctx.progress(1, 2, { mimeType: "image/png", bytes: Buffer.from("a preview") });
    while (config.gate !== undefined && !(await exists(config.gate)))
      await pause(10, undefined, { signal: ctx.signal });
    ctx.progress(2, 2);
    if (config.fail !== undefined) throw new PermanentError(config.fail);
    if (config.stumble !== undefined) throw new RetryableError(config.stumble, { code: "INPUT_UNREACHABLE" });
    const text = "0123456789".repeat(Math.ceil(config.size / 10)).slice(0, config.size);
    await ctx.asset(Buffer.from(text), { type: "text", extension: "txt", mimeType: "text/plain" });
    return { metadata: { length: text.length }, text: text.slice(0, 5) };
  },
});

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
