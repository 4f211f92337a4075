import { z } from "zod";
import { defineHandler } from "#contract/handler.ts";
import { jobEnvelope } from "#contract/job.ts";

/** Enqueues the job in its `config.job` as a child. */
export default defineHandler({
  type: "beside",
  worker: "sdxl",
  produces: "nothing",
  input: jobEnvelope.extend({ config: z.object({ job: z.looseObject({ type: z.string() }) }) }),
  retry: { maxAttempts: 3, timeoutSeconds: 60 },
  async run({ config }, ctx) {
    await ctx.enqueue(config.job);
    return {};
  },
});
