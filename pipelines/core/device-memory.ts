import { execFile } from "node:child_process";
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
  if (device === "cpu") return Math.floor(availableMemory() * shareOfMachine);
  const free = await freeGpuMegabytes(nvidiaSmi);
  return free === undefined ? unknownDeviceBytes : Math.floor(free * 2 ** 20 * shareOfGpu);
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
