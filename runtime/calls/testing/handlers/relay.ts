import { z } from "zod";
import { defineHandler } from "#contract/handler.ts";
import { jobEnvelope } from "#contract/job.ts";

/** In the middle of a chain: it is called, and calls. */
export default defineHandler({
  type: "relay",
  worker: "middle",
  produces: "text",
  calls: ["reply"],
  input: jobEnvelope,
  parameters: z.object({ config: z.record(z.string(), z.unknown()).default({}) }),
  retry: { maxAttempts: 1, timeoutSeconds: 60 },
  async run(job, ctx) {
    const { config } = await ctx.parameters();
    const onText = (delta: string) => ctx.text(`<${delta}>`);
    const { text = "" } = await ctx.call("reply", { prompt: job.prompt, config }, { onText });
    return { text: `relayed ${text}` };
  },
});
