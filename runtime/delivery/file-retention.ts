import { opendir, rm, rmdir, stat } from "node:fs/promises";
import { join } from "node:path";

/**
 * Removes the files below the folder that were written before that moment, and folders that are empty then. What has a
 * name with a dot in front is not a stored file and is left alone.
 *
 * @returns how many files went
 */
export async function removeOldFiles(folder: string, beforeMs: number): Promise<number> {
  let removed = 0;
  for await (const entry of await opendir(folder)) {
    if (entry.name.startsWith(".")) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      removed += await removeOldFiles(path, beforeMs);
      // Only an empty one goes: a job may just be storing its first file.
      await rmdir(path).catch(() => undefined);
    } else {
      const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }));
      if (mtimeMs >= beforeMs) continue;
      await rm(path, { force: true });
      removed++;
    }
  }
  return removed;
}
