import { createHash } from "node:crypto";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";

/**
 * A key of the files in these folders: another one when a file is added, removed, written to or replaced. Made of names,
 * sizes and times, since weights of many gigabytes would take minutes to read.
 */
export async function filesKey(folders: readonly string[]): Promise<string> {
  const hash = createHash("sha256");
  for (const folder of folders) {
    for (const name of (await readdir(folder)).sort()) {
      const { size, mtimeMs } = await stat(join(folder, name));
      hash.update(JSON.stringify([name, size, mtimeMs]));
    }
  }
  return hash.digest("hex");
}
