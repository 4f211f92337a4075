import { fileURLToPath } from "node:url";
import { expect, it, onTestFinished } from "vitest";
import { startTestRuntime } from "./support/runtime.ts";

it("a job that names a model of another family fails at once and says so", async () => {
  const runtime = await startTestRuntime({
    HANDLERS_DIR: fileURLToPath(new URL("../handlers", import.meta.url)),
    MODELS_DIR: fileURLToPath(new URL("../models", import.meta.url)),
    WORKERS: "wan",
  });
  onTestFinished(async () => {
    await runtime.stop();
    await runtime.remove();
  });
  const id = await runtime.submit("video_fast", {}, { model_variant: "tiny-sdxl" });
  expect(await runtime.ended(id)).toMatchObject({
    status: "failed",
    attempt: 1,
    error: {
      code: "MODEL_UNSUITABLE",
      message: expect.stringMatching(/tiny-sdxl: the model is a StableDiffusionXL\w*; this pipeline runs WAN/),
      permanent: true,
    },
  });
});
