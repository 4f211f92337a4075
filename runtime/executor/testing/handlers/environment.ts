import process from "node:process";
import { defineHandler } from "#contract/handler.ts";
import { jobEnvelope } from "#contract/job.ts";

/** Does what a handler must not: it tells what its process has of an environment. */
export default defineHandler({
  type: "environment",
  worker: "test",
  produces: "nothing",
  input: jobEnvelope,
  retry: { maxAttempts: 1, timeoutSeconds: 30 },
  async run() {
    // biome-ignore lint/style/noProcessEnv: a test looks at what handlers could read
    return { metadata: { names: Object.keys(process.env) } };
  },
});
