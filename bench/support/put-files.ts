import { readFile, rm } from "node:fs/promises";
import process from "node:process";
import { createInterface } from "node:readline";
import { pino } from "pino";
import { SupabaseAssetStore } from "#runtime/delivery/stores/supabase-asset-store.ts";
import { residentMiB } from "./container.ts";

/*
 * The container's asset store in a process of its own. Each line of standard input is a file to store; each line of
 * standard output says how long it took and how large the process has been at most since its start.
 *
 *   node put-files.ts <project's address> <service key>
 */
const [url = "", serviceKey = ""] = process.argv.slice(2);
const store = new SupabaseAssetStore({ project: { url, serviceKey }, log: pino({ level: "silent" }), nowMs: Date.now });
const signal = new AbortController().signal;

/** The most memory that was ever resident, from the kernel. */
async function peakMiB(): Promise<number> {
  const status = await readFile("/proc/self/status", "utf8");
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? Number.NaN) / 1024;
}

for await (const file of createInterface({ input: process.stdin })) {
  // As a new file: what is known to be there is not sent again.
  await rm(`${file}.upload.json`, { force: true });
  const startedAt = performance.now();
  await store.put(
    { bucket: "films", path: "bench/store/0.mp4", userId: "bench", jobId: "store", file, mimeType: "video/mp4" },
    signal,
  );
  const seconds = (performance.now() - startedAt) / 1000;
  process.stdout.write(
    `${JSON.stringify({ seconds, peakMiB: await peakMiB(), residentMiB: await residentMiB(process.pid) })}\n`,
  );
}
