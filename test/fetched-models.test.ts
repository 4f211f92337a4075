import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, it, onTestFinished } from "vitest";
import { createApp } from "#functions/index.ts";
import { createLogger } from "#runtime/observe/log.ts";
import { FakeHub, type HubOptions } from "./support/hub.ts";
import { otherFiles, smallSdxl } from "./support/hub-repository.ts";
import { startTestRuntime, untilEvent } from "./support/runtime.ts";

/* MODELS: what is missing is fetched while the container is up; jobs that need it wait for that, others do not. */

const handlers = fileURLToPath(new URL("../handlers", import.meta.url));
const tinySdxl = fileURLToPath(new URL("../models/tiny-sdxl", import.meta.url));
const repo = "somebody/small-sdxl";
const token = "hf_aTokenOfNobodyAtAll1234";

let models: string;
let hub: FakeHub;

beforeEach(async () => {
  models = await mkdtemp(join(tmpdir(), "ourvidz-fetched-"));
  // Without MODELS this one would stand for it.
  await symlink(tinySdxl, join(models, "tiny-sdxl"));
  await writeFile(join(models, "aliases.json"), '{"sdxl": "tiny-sdxl"}');
});
afterEach(async () => {
  await hub.stop();
  await rm(models, { recursive: true, force: true });
});

async function startHub(options: HubOptions, access: "open" | "gated" = "open"): Promise<void> {
  hub = await FakeHub.start({ token, ...options });
  hub.put(repo, { files: { ...(await smallSdxl()), ...otherFiles() }, access });
}

async function start(env: Record<string, string> = {}) {
  const container = await startTestRuntime({
    HANDLERS_DIR: handlers,
    MODELS_DIR: models,
    WORKERS: "sdxl",
    MODELS: `sdxl=${repo}`,
    HF_ENDPOINT: hub.url,
    ...env,
  });
  const stop = async () => {
    await container.stop();
    await container.remove();
  };
  const app = createApp(container, await createLogger({ level: "silent", format: "json" }));
  const get = async (path: string) => {
    const response = await app.request(path, { headers: { Host: "127.0.0.1" } });
    return { status: response.status, body: await response.json() };
  };
  return { container, get, stop };
}

const small = { num_inference_steps: 1, width: 64, height: 64 };

it("says how far it is, and runs the jobs that waited with the model that was meant", {
  timeout: 120_000,
}, async () => {
  await startHub({ bytesPerSecond: 300_000 });
  const { container, get, stop } = await start();
  onTestFinished(stop);
  const id = await container.submit("sdxl_image_fast", small);
  await expect
    .poll(() => get("/ready"), { timeout: 30_000 })
    .toMatchObject({
      status: 503,
      body: { code: "NOT_READY", error: expect.stringMatching(/sdxl \(\d+ % of 3\.2 MB\)/) },
    });
  expect(await get("/health")).toMatchObject({
    status: 200,
    body: { status: "starting", problems: [], limited: [{ kind: "model", subject: "sdxl", code: "NOT_READY" }] },
  });
  await expect.poll(() => container.offers.of("sdxl").models).toEqual(["tiny-sdxl"]);
  expect(container.events.replay(id)).toEqual([]);
  await untilEvent(container, id, (event) => event.kind === "state" && event.status === "completed");
  await expect.poll(() => get("/ready")).toMatchObject({ status: 200, body: { ready: true } });
  expect(container.offers.of("sdxl").models).toEqual(["sdxl", "tiny-sdxl"]);
  await expect.poll(() => readdir(models)).toEqual(["aliases.json", "sdxl", "tiny-sdxl"]);
});

it("names what keeps a model from coming, and tries again", { timeout: 120_000 }, async () => {
  await startHub({}, "gated");
  const { container, get, stop } = await start();
  onTestFinished(stop);
  await expect
    .poll(() => get("/health"), { timeout: 30_000 })
    .toMatchObject({
      status: 200,
      body: { status: "degraded", problems: [{ part: "models", subject: "sdxl", code: "HUB_REFUSED" }] },
    });
  expect(await get("/worker/status")).toMatchObject({
    body: { problems: [{ message: expect.stringContaining(`${hub.url}/${repo}`) }] },
  });
  expect(await get("/ready")).toMatchObject({
    status: 503,
    body: { error: expect.stringContaining("failed, HUB_REFUSED") },
  });
  // What needs another model is taken.
  const id = await container.submit("sdxl_image_fast", small, { model_variant: "tiny-sdxl" });
  await untilEvent(container, id, (event) => event.kind === "state" && event.status === "completed");
  hub.put(repo, { files: await smallSdxl() });
  await expect.poll(() => get("/ready"), { timeout: 60_000 }).toMatchObject({ status: 200 });
  expect(await get("/health")).toMatchObject({ body: { problems: [] } });
});

it("is fetched once by containers that share the folder", { timeout: 120_000 }, async () => {
  await startHub({ bytesPerSecond: 1_000_000 });
  const both = await Promise.all([start(), start()]);
  for (const { stop } of both) onTestFinished(stop);
  for (const { get } of both)
    await expect.poll(() => get("/ready"), { timeout: 60_000 }).toMatchObject({ status: 200 });
  expect(hub.requestsFor("unet/model.onnx")).toHaveLength(2);
});

it("is broken off by a stop, and gone on with by the next start; what is there is not asked for", {
  timeout: 120_000,
}, async () => {
  await startHub({ bytesPerSecond: 300_000 });
  const first = await start();
  await expect.poll(() => hub.bytesSent, { timeout: 30_000 }).toBeGreaterThan(600_000);
  const stopMs = performance.now();
  await first.stop();
  expect(performance.now() - stopMs).toBeLessThan(20_000);
  expect(await readdir(models)).toContain(".pulling");
  await hub.stop();
  await startHub({});
  const second = await start();
  await expect.poll(() => second.get("/ready"), { timeout: 60_000 }).toMatchObject({ status: 200 });
  await second.stop();
  expect(hub.requests.some(({ range }) => range !== undefined)).toBe(true);
  hub.requests.length = 0;
  const third = await start();
  await expect.poll(() => third.get("/ready"), { timeout: 60_000 }).toMatchObject({ status: 200 });
  await third.stop();
  expect(hub.requests).toEqual([]);
});

it.each([
  ["sdxl", /write name=owner\/name/],
  ["sdxl=a/b/c", /names no repository/],
  ["sdxl=a/b sdxl=c/d", /names a model twice/],
])("MODELS=%s does not start", async (given, message) => {
  await startHub({});
  await mkdir(join(models, "data"));
  await expect(start({ MODELS: given })).rejects.toThrow(message);
});
