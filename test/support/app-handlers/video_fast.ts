import { appendFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import { defineHandler } from "#contract/handler.ts";
import { jobEnvelope } from "#contract/job.ts";

/** Stands in for a video of minutes: takes its steps, and hands over a file of the asked size. Each run is noted. */
const parameters = z.object({
  steps: z.number().int().min(0).default(1),
  step_ms: z.number().min(0).default(0),
  bytes: z.number().int().min(1).default(100_000),
  trace: z.string(),
});

export default defineHandler({
  type: "video_fast",
  worker: "wan",
  produces: "video",
  input: jobEnvelope,
  parameters,
  retry: { maxAttempts: 3, timeoutSeconds: 120, backoffSeconds: 0.1 },
  async run(job, ctx) {
    const { steps, step_ms, bytes, trace } = await ctx.parameters();
    await appendFile(trace, `${job.id}\n`);
    for (let step = 1; step <= steps; step++) {
      await pause(step_ms, undefined, { signal: ctx.signal });
      ctx.progress(step, steps);
    }
    await ctx.asset(Buffer.alloc(bytes, job.id), { type: "video", extension: "mp4", mimeType: "video/mp4" });
    return {};
  },
});
