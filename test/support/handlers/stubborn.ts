import { z } from "zod";
import { defineHandler } from "#contract/handler.ts";
import { jobEnvelope } from "#contract/job.ts";

const parameters = z.object({ blocks: z.boolean().default(true) });

/** Takes longer than it may; blocking, it cannot even hear that it should stop, as a long `session.run` cannot. */
export default defineHandler({
  type: "stubborn",
  worker: "test",
  produces: "nothing",
  input: jobEnvelope,
  parameters,
  retry: { maxAttempts: 1, timeoutSeconds: 0.3 },
  async run(_job, ctx) {
    const { blocks } = await ctx.parameters();
    if (blocks) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60_000);
    await new Promise((_resolve, reject) =>
      ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason), { once: true }),
    );
    return {};
  },
});
