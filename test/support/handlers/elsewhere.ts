import { defineHandler } from "#contract/handler.ts";
import { jobEnvelope } from "#contract/job.ts";

/** Belongs to another worker than the other handlers here; its schema and its result are bad on request. */
export default defineHandler({
  type: "elsewhere",
  worker: "other",
  produces: "nothing",
  input: jobEnvelope.transform((job) => {
    if (job.config.schema === "throws") throw new TypeError("this schema throws");
    return job;
  }),
  retry: { maxAttempts: 2, timeoutSeconds: 30, backoffSeconds: 0.05 },
  async run(job) {
    return { metadata: job.config.result === "no_json" ? { count: 5n } : {} };
  },
});
