import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { startTestRuntime } from "#test/support/runtime.ts";
import { containersFolder } from "./data-folder.ts";

it("a container that does not start, as its settings name an unknown worker, leaves no note that it runs", async () => {
  const folder = await mkdtemp(join(tmpdir(), "ourvidz-start-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await expect(startTestRuntime({ DATA_DIR: folder, WORKERS: "lakes" })).rejects.toMatchObject({
    code: "CONFIG_INVALID",
    message: expect.stringContaining("lakes"),
  });
  expect(await readdir(containersFolder(folder))).toEqual([]);
});
