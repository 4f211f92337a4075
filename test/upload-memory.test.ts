import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { z } from "zod";
import { type StorageServer, startStorageServer } from "./support/supabase/storage-server.ts";

/* A file is never in memory as a whole, however large it is. The store has a process of its own here, whose peak the kernel knows. */
const megabyte = 1024 * 1024;
const putFiles = fileURLToPath(new URL("../bench/support/put-files.ts", import.meta.url));
const answer = z.object({ peakMiB: z.number() });

let storage: StorageServer;
let folder: string;
beforeAll(async () => {
  storage = await startStorageServer({ buckets: [{ id: "films" }] });
  folder = await mkdtemp(join(tmpdir(), "ourvidz-memory-"));
});
afterAll(async () => {
  await storage.close();
  await rm(folder, { recursive: true, force: true });
});

async function newFile(sizeMB: number): Promise<string> {
  const path = join(folder, `${sizeMB}.mp4`);
  const handle = await open(path, "w");
  await handle.truncate(sizeMB * megabyte);
  await handle.close();
  return path;
}

it("stores 200 MB in the memory that 30 MB take", { timeout: 120_000 }, async () => {
  const child = spawn(process.execPath, [putFiles, storage.url, storage.serviceKey], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const peakAfter = async (sizeMB: number) => {
    child.stdin.write(`${await newFile(sizeMB)}\n`);
    const line = await lines.next();
    return answer.parse(JSON.parse(String(line.value))).peakMiB;
  };
  const small = await peakAfter(30);
  const large = await peakAfter(200);
  child.stdin.end();
  await once(child, "exit");
  expect(storage.find("films", "bench/store/0.mp4")?.sizeBytes).toBe(200 * megabyte);
  expect(large - small).toBeLessThan(60);
});
