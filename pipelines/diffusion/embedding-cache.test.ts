import { mkdtemp, readdir, rm, truncate, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { EmbeddingCache } from "./embedding-cache.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "embeddings-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const entry = (first: number) => ({ rows: Float32Array.of(first, 2, 3, 4), width: 2, cutTokens: 7 });

it("returns what was put in, in another process too when it has a folder", async () => {
  const cache = new EmbeddingCache({ folder });
  const key = EmbeddingCache.keyOf(["model", "a lake"]);
  expect(await cache.get(key)).toBeUndefined();
  await cache.set(key, entry(1));
  expect(await cache.get(key)).toEqual(entry(1));
  expect(await new EmbeddingCache({ folder }).get(key)).toEqual(entry(1));
  expect(await new EmbeddingCache().get(key)).toBeUndefined();
  expect(EmbeddingCache.keyOf(["mode", "la lake"])).not.toBe(key);
});

it("drops from memory what was used longest ago", async () => {
  const cache = new EmbeddingCache({ maxMemoryBytes: 32 });
  await cache.set("a", entry(1));
  await cache.set("b", entry(2));
  await cache.get("a");
  await cache.set("c", entry(3));
  expect(await cache.get("b")).toBeUndefined();
  expect(await cache.get("a")).toEqual(entry(1));
  expect(await cache.get("c")).toEqual(entry(3));
});

it("keeps its folder below its bound", async () => {
  const cache = new EmbeddingCache({ folder, maxDiskBytes: 60 });
  for (const [index, key] of ["a", "b", "c", "d"].entries()) await cache.set(key, entry(index));
  expect(await readdir(folder)).toHaveLength(2);
});

it("removes what a killed process left half written, and nothing that is being written", async () => {
  const [old, fresh] = [join(folder, ".old.part"), join(folder, ".fresh.part")];
  for (const part of [old, fresh]) await writeFile(part, Buffer.alloc(50));
  const before = new Date(Date.now() - 3_600_000);
  await utimes(old, before, before);
  const cache = new EmbeddingCache({ folder, maxDiskBytes: 60 });
  await cache.set("a", entry(1));
  await cache.set("b", entry(2));
  expect((await readdir(folder)).sort()).toEqual([".fresh.part", "a", "b"]);
});

it("forgets an entry that is cut off, and goes on where the folder cannot be written", async () => {
  const cache = new EmbeddingCache({ folder });
  await cache.set("a", entry(1));
  await truncate(join(folder, "a"), 13);
  expect(await new EmbeddingCache({ folder }).get("a")).toBeUndefined();
  const file = join(folder, "file");
  await writeFile(file, "");
  const homeless = new EmbeddingCache({ folder: file });
  await homeless.set("a", entry(1));
  expect(await homeless.get("a")).toEqual(entry(1));
});
