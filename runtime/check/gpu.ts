import { bytes } from "#runtime/lib/bytes.ts";
import type { GpuReading } from "#runtime/observe/gpu/gpu-reading.ts";
import type { Check } from "./tried.ts";

/** Without a GPU everything runs, only slower: a warning. */
export async function tryGpu(reading: GpuReading): Promise<Check> {
  const check = { subject: "gpu_availability", name: "gpu" } as const;
  const gpus = await reading.read();
  if (gpus !== null) {
    const named = gpus.map(({ name, memoryTotalBytes }) =>
      memoryTotalBytes === null ? name : `${name}, ${bytes(memoryTotalBytes)}`,
    );
    return { ...check, status: "ok", message: named.join("; ") };
  }
  const advice = "install NVIDIA's driver, and start the container with access to the GPU (--gpus all)";
  return {
    ...check,
    status: "warning",
    message: `nvidia-smi names no GPU, so models run on the CPU: where there is one, ${advice}.`,
  };
}
