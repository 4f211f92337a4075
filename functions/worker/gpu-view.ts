import type { z } from "zod";
import type { GpuFacts } from "#runtime/observe/gpu/parse-gpus.ts";
import type { gpuView } from "../api/schemas/worker-views.ts";

export function viewGpu(gpu: GpuFacts): z.output<typeof gpuView> {
  return {
    name: gpu.name,
    memory_total: gpu.memoryTotalBytes,
    memory_used: gpu.memoryUsedBytes,
    memory_free: gpu.memoryFreeBytes,
    utilization: gpu.utilizationPercent,
    temperature: gpu.temperatureCelsius,
  };
}
