import { defineHandler } from "#contract/handler.ts";
import { jobEnvelope } from "#contract/job.ts";

/** Policy alone: what runs in its place is test/conformance/ends/scripted-executor.ts. */
export default defineHandler({
  type: "sdxl_image_fast",
  worker: "sdxl",
  produces: "image",
  input: jobEnvelope,
  retry: { maxAttempts: 3, timeoutSeconds: 300, backoffSeconds: 0.01 },
  run: () => Promise.reject(new Error("no executor has this handler")),
});
