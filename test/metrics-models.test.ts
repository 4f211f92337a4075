import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { parsePrometheus, valuesOf } from "./support/prometheus.ts";
import { startTestRuntime, type TestRuntime } from "./support/runtime.ts";

/* What executors tell of models and stages, with the real handlers and two models. */
const projectFolder = fileURLToPath(new URL("..", import.meta.url));
let models: string;
let runtime: TestRuntime;

beforeAll(async () => {
  models = await mkdtemp(join(tmpdir(), "ourvidz-models-"));
  for (const name of ["sdxl", "other"]) await symlink(join(projectFolder, "models", "tiny-sdxl"), join(models, name));
  runtime = await startTestRuntime({ HANDLERS_DIR: join(projectFolder, "handlers"), MODELS_DIR: models });
});

afterAll(async () => {
  await runtime.stop();
  await runtime.remove();
  await rm(models, { recursive: true, force: true });
});

it("are counted: loads, what had to go for them, and the time of every stage", async () => {
  const config = { width: 64, height: 64, num_inference_steps: 2, num_images: 1 };
  for (const fields of [{}, {}, { model_variant: "other" }]) {
    const record = await runtime.ended(await runtime.submit("sdxl_image_fast", config, fields));
    expect(record.status).toBe("completed");
  }
  const families = parsePrometheus(await runtime.metricsRegistry.text());
  expect(valuesOf(families, "ourvidz_model_load_seconds_count", "worker", "model")).toEqual({
    "sdxl,sdxl": 1,
    "sdxl,other": 1,
  });
  expect(valuesOf(families, "ourvidz_model_switches_total", "worker")).toEqual({ sdxl: 1 });
  expect(valuesOf(families, "ourvidz_model_evictions_total", "worker", "model")).toEqual({ "sdxl,sdxl": 1 });
  const type = "sdxl_image_fast";
  expect(valuesOf(families, "ourvidz_job_stage_seconds_count", "type", "stage")).toEqual({
    [`${type},load`]: 2,
    ...Object.fromEntries(["encode", "prepare", "denoise", "decode", "save"].map((stage) => [`${type},${stage}`, 3])),
  });
});
