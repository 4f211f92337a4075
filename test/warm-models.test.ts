import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it, onTestFinished } from "vitest";
import { createApp } from "#functions/index.ts";
import { createLogger } from "#runtime/observe/log.ts";
import { startTestRuntime, untilEvent } from "./support/runtime.ts";

/* WARM_MODELS: the first job does not pay for the loading of its model. */

const handlers = fileURLToPath(new URL("./support/console-handlers", import.meta.url));

async function start(warmModels: string) {
  const container = await startTestRuntime({ HANDLERS_DIR: handlers, WARM_MODELS: warmModels });
  onTestFinished(async () => {
    await container.stop();
    await container.remove();
  });
  const app = createApp(container, await createLogger({ level: "silent", format: "json" }));
  const get = async (path: string) => (await app.request(path, { headers: { Host: "127.0.0.1" } })).json();
  return { container, get, ready: () => get("/ready") };
}

it("loads the model, by any of its names, before a job is taken, and leaves nothing behind", {
  timeout: 120_000,
}, async () => {
  const { container, get, ready } = await start("tiny-sdxl");
  const id = await container.submit("sdxl_image_fast", { num_inference_steps: 2 });
  await expect
    .poll(ready, { timeout: 30_000 })
    .toMatchObject({ code: "NOT_READY", error: "The models of WARM_MODELS are being loaded." });
  expect(container.events.replay(id)).toEqual([]);
  await expect.poll(ready, { timeout: 60_000 }).toMatchObject({ ready: true });
  await untilEvent(container, id, (event) => event.kind === "state" && event.status === "completed");
  const stages = container.events.replay(id).flatMap(({ event }) => (event.kind === "stage" ? [event.name] : []));
  expect(stages).toContain("denoise");
  expect(stages).not.toContain("load");
  expect(container.executors.get("sdxl")?.status.jobsProcessed).toBe(2);
  // The job's type calls the model by its other name.
  const loaded = expect.objectContaining({ name: "tiny-sdxl", loaded_by: ["sdxl"] });
  expect(await get("/worker/info")).toMatchObject({ models: expect.arrayContaining([loaded]) });
  await expect.poll(() => readdir(join(container.folder, "work"))).toEqual([]);
});

it("of a model that is not there, or that nothing uses, keeps no job waiting", { timeout: 120_000 }, async () => {
  const { container, ready } = await start("no-such-model");
  await expect.poll(ready, { timeout: 60_000 }).toMatchObject({ ready: true });
  const id = await container.submit("sdxl_image_fast", { num_inference_steps: 1 });
  await untilEvent(container, id, (event) => event.kind === "state" && event.status === "completed");
});
