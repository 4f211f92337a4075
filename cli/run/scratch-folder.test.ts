import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { recordOwner } from "#runtime/executor/parent/left-behind.ts";
import { ScratchFolder } from "./scratch-folder.ts";

let parent: string;
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), "ourvidz-scratch-"));
});
afterEach(() => rm(parent, { recursive: true, force: true }));

async function folderOf(name: string, changes: object | null): Promise<void> {
  const containers = join(parent, name, "containers");
  await mkdir(containers, { recursive: true });
  if (changes === null) return;
  await recordOwner(containers, { warn: () => undefined });
  const [file = ""] = await readdir(containers);
  const record: object = JSON.parse(await readFile(join(containers, file), "utf8"));
  await writeFile(join(containers, file), JSON.stringify({ ...record, ...changes }));
}

it("is made after those of killed runs are removed; others' that run, were kept or cannot be judged stay", async () => {
  await folderOf("ourvidz-run-killed", { startTicks: 1 });
  await folderOf("ourvidz-run-before-a-restart", { boot: "another" });
  await folderOf("ourvidz-run-running", {});
  await folderOf("ourvidz-run-kept", null);
  await folderOf("ourvidz-run-elsewhere", { startTicks: 1, namespace: "pid:[1]" });
  await folderOf("another-killed", { startTicks: 1 });
  const scratch = await ScratchFolder.create(parent);
  expect((await readdir(parent)).filter((name) => join(parent, name) !== scratch.path).toSorted()).toEqual([
    "another-killed",
    "ourvidz-run-elsewhere",
    "ourvidz-run-kept",
    "ourvidz-run-running",
  ]);
  await scratch.remove();
});
