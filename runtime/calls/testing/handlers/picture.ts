import { defineHandler } from "#contract/handler.ts";
import { jobEnvelope } from "#contract/job.ts";

/** Makes a file, which a call does not keep. */
export default defineHandler({
  type: "picture",
  worker: "wan",
  produces: "image",
  input: jobEnvelope,
  retry: { maxAttempts: 1, timeoutSeconds: 20 },
  run: async () => ({}),
});
