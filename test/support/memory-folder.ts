import { statfs } from "node:fs/promises";

const memoryFolder = "/dev/shm";
const roomyBytes = 2_000_000_000;

/** A folder in memory, where the machine has one with plenty of room: what is synced there costs no time. */
export async function roomyMemoryFolder(): Promise<string | undefined> {
  const memory = await statfs(memoryFolder).catch(() => undefined);
  return memory !== undefined && memory.bavail * memory.bsize > roomyBytes ? memoryFolder : undefined;
}
