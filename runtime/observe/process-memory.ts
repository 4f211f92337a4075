import { readFile } from "node:fs/promises";

/** Resident bytes of a process, as Linux reports it; null elsewhere, and for a process that is gone. */
export async function residentBytes(pid: number | null): Promise<number | null> {
  if (pid === null) return null;
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  return kibibytes === undefined ? null : Number(kibibytes) * 1024;
}
