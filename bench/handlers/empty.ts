import { defineHandler } from "#contract/handler.ts";
import { jobEnvelope } from "#contract/job.ts";

/** Does nothing: what is left is what the runtime costs. */
export default defineHandler({
  type: "empty",
  worker: "bench",
  produces: "nothing",
  input: jobEnvelope,
  retry: { maxAttempts: 3, timeoutSeconds: 30 },
  run: async () => ({}),
});
