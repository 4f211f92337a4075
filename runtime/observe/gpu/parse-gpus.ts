/** One GPU. What its driver does not report (a slice of a shared GPU has no utilization of its own) is null. */
export interface GpuFacts {
  readonly name: string;
  readonly memoryTotalBytes: number | null;
  readonly memoryUsedBytes: number | null;
  readonly memoryFreeBytes: number | null;
  /** Percent of the last moment in which something ran. */
  readonly utilizationPercent: number | null;
  readonly temperatureCelsius: number | null;
}

/** The name comes last: it is the only field that could hold a comma. */
export const gpuFields = [
  "memory.total",
  "memory.used",
  "memory.free",
  "utilization.gpu",
  "temperature.gpu",
  "name",
] as const;

const bytesPerMebibyte = 2 ** 20;

/** Reads `--format=csv,noheader,nounits`: one line for each GPU. Lines of another form are left out. */
export function parseGpus(output: string): GpuFacts[] {
  return output.split("\n").flatMap((line) => parseGpu(line) ?? []);
}

function parseGpu(line: string): GpuFacts | null {
  const fields = line.split(",").map((field) => field.trim());
  const [total = "", used = "", free = "", utilization = "", temperature = ""] = fields;
  const name = fields.slice(gpuFields.length - 1).join(", ");
  if (name === "" || ![total, used, free, utilization, temperature].every(isValue)) return null;
  return {
    name,
    memoryTotalBytes: bytesOf(total),
    memoryUsedBytes: bytesOf(used),
    memoryFreeBytes: bytesOf(free),
    utilizationPercent: numberOf(utilization),
    temperatureCelsius: numberOf(temperature),
  };
}

/** A number, or why there is none: `[N/A]`, `[Not Supported]`, `[Insufficient Permissions]`, `[Unknown Error]`. */
function isValue(field: string): boolean {
  return /^(?:\d{1,9}|\[[\w/ ]+\]|N\/A)$/.test(field);
}

function numberOf(field: string): number | null {
  return /^\d+$/.test(field) ? Number(field) : null;
}

function bytesOf(mebibytes: string): number | null {
  const count = numberOf(mebibytes);
  return count === null ? null : count * bytesPerMebibyte;
}
