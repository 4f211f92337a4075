import { z } from "zod";
import { CodedError } from "#contract/errors.ts";
import { defineHandler } from "#contract/handler.ts";
import { jobEnvelope } from "#contract/job.ts";

/** Calls a handler of another worker, and says what became of it. */
export default defineHandler({
  type: "ask",
  worker: "wan",
  produces: "nothing",
  calls: ["reply", "relay"],
  input: jobEnvelope,
  parameters: z.object({
    type: z.string().default("reply"),
    config: z.record(z.string(), z.unknown()).default({}),
    times: z.int().min(1).default(1),
    /** Goes on without the answer, as an enhancement does. */
    falls_back: z.boolean().default(false),
    within_ms: z.number().optional(),
    /** Ends with its process once the call has begun. */
    dies: z.boolean().default(false),
  }),
  retry: { maxAttempts: 2, timeoutSeconds: 20, backoffSeconds: 0.1 },
  async run(job, ctx) {
    const { type, config, times, falls_back, within_ms, dies } = await ctx.parameters();
    let heard = "";
    const onText = (delta: string) => {
      heard += delta;
      if (dies && ctx.attempt === 1) process.kill(process.pid, "SIGKILL");
    };
    const signal = within_ms === undefined ? {} : { signal: AbortSignal.timeout(within_ms) };
    const one = () => ctx.call(type, { prompt: job.prompt, config }, { onText, ...signal });
    try {
      const [answer] = await Promise.all(Array.from({ length: times }, one));
      return { metadata: { answer, heard } };
    } catch (error) {
      if (!falls_back) throw error;
      const { code, details } = error instanceof CodedError ? error : { code: String(error), details: null };
      return { metadata: { code, details } };
    }
  },
});
