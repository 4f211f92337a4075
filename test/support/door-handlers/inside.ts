import { z } from "zod";
import { defineHandler } from "#contract/handler.ts";
import { jobEnvelope } from "#contract/job.ts";

/** Runs the job in its `config.job` in place, as workflows do: what only the executor sees. */
export default defineHandler({
  type: "inside",
  worker: "sdxl",
  produces: "nothing",
  input: jobEnvelope.extend({ config: z.object({ job: z.record(z.string(), z.unknown()) }) }),
  retry: { maxAttempts: 3, timeoutSeconds: 60 },
  run: ({ config }, ctx) => ctx.run("sdxl_image_fast", config.job),
});
