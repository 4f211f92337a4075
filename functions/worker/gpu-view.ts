import { z } from "zod";
import type { GpuFacts } from "#runtime/observe/gpu/parse-gpus.ts";

/** Memory in bytes, utilization in percent, temperature in degrees Celsius; null where the driver does not tell. */
export const gpuView = z
  .object({
    name: z.string(),
    memory_total: z.number().int().nullable(),
    memory_used: z.number().int().nullable(),
    memory_free: z.number().int().nullable(),
    utilization: z.number().nullable(),
    temperature: z.number().nullable(),
  })
  .meta({ id: "Gpu" });

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
