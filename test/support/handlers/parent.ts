import { defineHandler } from "#contract/handler.ts";
import { jobEnvelope } from "#contract/job.ts";

/** Runs another handler in place and enqueues a child, as a workflow does; its first attempt fails after that. */
export default defineHandler({
  type: "parent",
  worker: "test",
  produces: "text",
  input: jobEnvelope,
  retry: { maxAttempts: 2, timeoutSeconds: 30, backoffSeconds: 0.05 },
  async run(job, ctx) {
    const child = await ctx.enqueue({ type: "noop", prompt: `child of ${job.id}` });
    if (ctx.attempt === 1) throw new Error("after the child was enqueued");
    const inner = await ctx.run("noop", { prompt: "inside", config: { steps: 2 } });
    return { metadata: { child, inner: inner.metadata } };
  },
});
