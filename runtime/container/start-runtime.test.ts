import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { startTestRuntime } from "#test/support/runtime.ts";
import { containersFolder } from "./data-folder.ts";

it("calls of one that does not take jobs yet are told that it is starting", async () => {
  const call = { type: "noop", job: {}, userId: "ann", signal: new AbortController().signal };
  const told: unknown[] = [];
  const runtime = await startTestRuntime({}, async ({ calls }) => {
    told.push(await calls.callNow(call).catch((error: unknown) => error));
    return undefined;
  });
  onTestFinished(async () => {
    await runtime.stop();
    await runtime.remove();
  });
  expect(told).toMatchObject([{ code: "NOT_READY", message: expect.stringContaining("is starting") }]);
});

it("a start that fails once its server listens closes it while its requests still have a database", async () => {
  const folder = await mkdtemp(join(tmpdir(), "ourvidz-start-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const closings: unknown[] = [];
  const starting = startTestRuntime({ DATA_DIR: folder }, async ({ queue, delivery }) => {
    delivery.start = () => Promise.reject(new Error("the disk is full"));
    return async () => {
      closings.push(await queue.get("a-lake").catch((error: unknown) => error));
    };
  });
  await expect(starting).rejects.toThrow("the disk is full");
  expect(closings).toEqual([null]);
});

it("a container that does not start, as its settings name an unknown worker, leaves no note that it runs", async () => {
  const folder = await mkdtemp(join(tmpdir(), "ourvidz-start-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await expect(startTestRuntime({ DATA_DIR: folder, WORKERS: "lakes" })).rejects.toMatchObject({
    code: "CONFIG_INVALID",
    message: expect.stringContaining("lakes"),
  });
  expect(await readdir(containersFolder(folder))).toEqual([]);
});
