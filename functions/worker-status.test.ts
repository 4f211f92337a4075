import { afterAll, beforeAll, expect, it } from "vitest";
import { untilEvent } from "#test/support/runtime.ts";
import { workerInfo } from "./api/worker-info.ts";
import { workerResources } from "./api/worker-resources.ts";
import { workerStatus } from "./api/worker-status.ts";
import { validateWorker } from "./api/worker-validate.ts";
import { startContainer, type TestContainer } from "./testing/container.ts";

let container: TestContainer;
beforeAll(async () => {
  container = await startContainer();
});
afterAll(() => container.stop());

it("reports what each worker did and does", async () => {
  const failed = await container.runtime.submit("gated", { fail: "as asked" });
  await container.runtime.ended(failed);
  const { id, open } = await container.submitGated();
  await untilEvent(container.runtime, id, (event) => event.kind === "progress");
  const { json } = await container.call("GET", "/worker/status");
  expect(workerStatus.responses[200].parse(json)).toEqual(json);
  expect(json).toMatchObject({
    status: "healthy",
    dispatcher: "running",
    workers: {
      test: {
        status: "busy",
        jobs_processed: 1,
        error_count: 1,
        restarts: 0,
        current_job: id,
        last_job_time: expect.any(String),
        start_error: null,
      },
    },
    system: { active_jobs: 1 },
  });
  const { test } = workerStatus.responses[200].parse(json).workers;
  expect(test?.memory_usage).toBeGreaterThan(10 * 2 ** 20);
  expect(test?.uptime).toBeGreaterThan(0);
  await open();
  await container.runtime.ended(id);
});

it("counts the end of a process that nobody had requested", async () => {
  const { pid } = container.runtime.executors.get("test")?.status ?? {};
  process.kill(pid ?? expect.fail("the executor has no process"), "SIGKILL");
  await expect
    .poll(async () => (await container.call("GET", "/worker/status")).json, { timeout: 20_000 })
    .toMatchObject({ workers: { test: { restarts: 1, current_job: null, status: "active" } } });
});

it("reports memory, models and queues, some seconds old at the most", async () => {
  container.runtime.dispatcher.pause();
  await container.runtime.submit("gated");
  await expect
    .poll(async () => (await container.call("GET", "/worker/resources")).json, { timeout: 20_000 })
    .toMatchObject({
      queues: { test_queue: 1 },
      workers: { test: { queue_size: 1, model_loaded: false, models: [] } },
    });
  const { json } = await container.call("GET", "/worker/resources");
  expect(workerResources.responses[200].parse(json)).toEqual(json);
  container.runtime.dispatcher.resume();
});

it("reports the job types with their fields", async () => {
  const { json } = await container.call("GET", "/worker/info");
  const info = workerInfo.responses[200].parse(json);
  expect(info).toEqual(json);
  expect(info.job_types).toMatchObject([
    { type: "gated", worker: "test", produces: "text", max_attempts: 2, timeout: 60, runs_here: true },
  ]);
  expect(info.job_types[0]?.schema).toMatchObject({
    type: "object",
    properties: { type: { const: "gated" }, prompt: { type: "string", minLength: 1 } },
    // The id is made, and config may be left out: so may all that is in it.
    required: ["type", "prompt"],
  });
  expect(info.versions).toMatchObject({ node: process.versions.node, "onnxruntime-node": expect.any(String) });
});

it("tries everything, once for all who ask meanwhile", async () => {
  const [first, second] = await Promise.all([
    container.call("POST", "/worker/validate"),
    container.call("GET", "/worker/validate"),
  ]);
  const report = validateWorker.responses[200].parse(first?.json);
  expect(report).toEqual(first?.json);
  expect(second?.text).toBe(first?.text);
  expect(report).toMatchObject({
    status: "valid",
    checks: { environment_variables: "ok", handlers: "ok", storage: "ok", queue: "ok", dependencies: "ok" },
  });
  expect(Object.keys(report.checks)).toEqual(expect.arrayContaining(["model_paths", "gpu_availability", "ffmpeg"]));
  expect(report.details.dependencies?.map(({ name }) => name)).toEqual(["node", "executor test"]);
});

it("says what to do about what fails", async () => {
  const broken = await startContainer({ MODELS_DIR: "/nowhere/at/all" });
  const { json } = await broken.call("POST", "/worker/validate");
  expect(json).toMatchObject({
    status: "invalid",
    checks: { model_paths: "failed" },
    details: { model_paths: [{ name: "models folder", status: "failed", message: /MODELS_DIR/ }] },
  });
  await broken.stop();
});
