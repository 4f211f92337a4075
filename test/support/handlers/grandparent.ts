import { defineHandler } from "#contract/handler.ts";
import { jobEnvelope } from "#contract/job.ts";

/** Enqueues a child, and runs a handler in place that enqueues one too. */
export default defineHandler({
  type: "grandparent",
  worker: "test",
  produces: "nothing",
  input: jobEnvelope,
  retry: { maxAttempts: 2, timeoutSeconds: 30, backoffSeconds: 0.05 },
  async run(job, ctx) {
    const { type = "noop" } = job.config;
    const own = await ctx.enqueue({ type: String(type), prompt: "first" });
    const inner = await ctx.run("parent", { prompt: "inside" });
    return { metadata: { own, inner: inner.metadata?.child } };
  },
});
