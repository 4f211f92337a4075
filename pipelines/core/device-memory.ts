import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { freemem } from "node:os";
import { availableMemory } from "node:process";
import { promisify } from "node:util";

const limitMs = 10_000;

/** What a model's weights may take where nothing is known of the device. */
const unknownDeviceBytes = 2 * 2 ** 30;

/** The rest is for what a run needs beside the weights. */
const shareOfGpu = 0.75;

/** Less: a CPU has no float16 arithmetic, so weights of that type become twice as large when they are loaded. */
const shareOfMachine = 0.4;

/**
 * How many bytes of weights, as their files have them, may stay in the memory that is free now: three quarters of the
 * GPU's (of several, that of the fullest), or two fifths of this machine's or container's.
 * @param nvidiaSmi the command that reports the GPUs
 */
export async function roomForWeights(device: "cpu" | "cuda", nvidiaSmi = "nvidia-smi"): Promise<number> {
  if (device === "cpu") return Math.floor((await freeMachineBytes()) * shareOfMachine);
  const free = await freeGpuMegabytes(nvidiaSmi);
  return free === undefined ? unknownDeviceBytes : Math.floor(free * 2 ** 20 * shareOfGpu);
}

/**
 * Bytes that this machine or container can still give. What a container has read of files counts against its limit, but is
 * given up when memory is needed: after a model of 10 GB was fetched, that is most of it.
 */
export async function freeMachineBytes(): Promise<number> {
  const available = availableMemory();
  return Math.min(available + (await cachedFileBytes()), Math.max(available, freemem()));
}

/** Where cgroups keep their counts, versions 2 and 1, as seen inside a container. */
const memoryStats = ["/sys/fs/cgroup/memory.stat", "/sys/fs/cgroup/memory/memory.stat"];

async function cachedFileBytes(): Promise<number> {
  for (const path of memoryStats) {
    const text = await readFile(path, "utf8").catch(() => null);
    if (text === null) continue;
    const counts = [...text.matchAll(/^(?:total_)?(?:in)?active_file (\d+)$/gm)].map(([, count]) => Number(count));
    // Version 1 has each twice, alone and with the groups below it: the larger one.
    return counts.length > 2
      ? counts.slice(-2).reduce((sum, count) => sum + count, 0)
      : counts.reduce((sum, count) => sum + count, 0);
  }
  return 0;
}

async function freeGpuMegabytes(nvidiaSmi: string): Promise<number | undefined> {
  try {
    const args = ["--query-gpu=memory.free", "--format=csv,noheader,nounits"];
    const { stdout } = await promisify(execFile)(nvidiaSmi, args, { timeout: limitMs, killSignal: "SIGKILL" });
    const numbers = stdout.trim().split("\n").map(Number);
    return numbers.every((value) => value > 0) ? Math.min(...numbers) : undefined;
  } catch {
    return undefined;
  }
}
