import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import { defineHandler } from "#contract/handler.ts";
import { jobEnvelope } from "#contract/job.ts";

const preview = { mimeType: "image/webp", bytes: new Uint8Array(4000) } as const;

/** Reports a step with a picture 20 times a second, for as long as `config.seconds` says. */
export default defineHandler({
  type: "lively",
  worker: "bench",
  input: jobEnvelope.extend({ config: z.looseObject({ seconds: z.number() }) }),
  produces: "nothing",
  retry: { maxAttempts: 1, timeoutSeconds: 600 },
  async run({ config }, ctx) {
    const total = config.seconds * 20;
    for (let step = 1; step <= total; step++) {
      ctx.progress(step, total, preview);
      await pause(50, undefined, { signal: ctx.signal });
    }
    return {};
  },
});
