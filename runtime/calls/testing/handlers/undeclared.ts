import { defineHandler } from "#contract/handler.ts";
import { jobEnvelope } from "#contract/job.ts";

/** Calls what it does not declare. */
export default defineHandler({
  type: "undeclared",
  worker: "wan",
  produces: "nothing",
  input: jobEnvelope,
  retry: { maxAttempts: 3, timeoutSeconds: 20 },
  async run(_job, ctx) {
    await ctx.call("reply", {});
    return {};
  },
});
