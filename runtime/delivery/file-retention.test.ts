import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { removeOldFiles } from "./file-retention.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ourvidz-files-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const nowMs = Date.parse("2026-01-31T00:00:00Z");
const dayMs = 86_400_000;

async function file(name: string, ageDays: number): Promise<void> {
  const path = join(folder, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, "bytes");
  const written = new Date(nowMs - ageDays * dayMs);
  await utimes(path, written, written);
}

it("removes what is old and the folders that are empty then, and nothing else", async () => {
  await file("noop/ann/old/0.txt", 31);
  await file("noop/ann/both/0.txt", 31);
  await file("noop/ann/both/1.txt", 29);
  await file("noop/bob/new/0.txt", 1);
  await file("films/bob/old/0.mp4", 400);
  await file(".unfinished/some", 31);
  expect(await removeOldFiles(folder, nowMs - 30 * dayMs)).toBe(3);
  const left = await readdir(folder, { recursive: true, withFileTypes: true });
  expect(
    left
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name).slice(folder.length + 1))
      .sort(),
  ).toEqual([".unfinished/some", "noop/ann/both/1.txt", "noop/bob/new/0.txt"]);
  expect((await readdir(folder)).sort()).toEqual([".unfinished", "noop"]);
});

it("has nothing to do in an empty folder", async () => {
  expect(await removeOldFiles(folder, nowMs)).toBe(0);
});
