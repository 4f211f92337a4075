import { createHash } from "node:crypto";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";

/* What lies in a folder, by directory entries and `stat` alone: nothing is opened, so that it can be asked again and again. */
export interface FolderFile {
  /** Inside the folder, with `/`: `unet/model.onnx`. */
  readonly name: string;
  /** Null for a link that leads to nothing. */
  readonly sizeBytes: number | null;
  readonly modifiedMs: number;
  readonly inode: number;
}

/** Deeper than any layout of models. */
const maxDepth = 8;
/** A folder with more is none that was meant (a home directory, say). */
export const maxFiles = 10_000;

/**
 * Every file of the folder, sorted by name; links are followed, but none that leads back to a folder that it is in. Names that begin
 * with a dot (`.git`, `.cache`) are left out.
 * What comes or goes meanwhile is there or not. Ends at `maxFiles`.
 *
 * @throws file system errors when the folder itself cannot be read
 */
export async function filesIn(folder: string): Promise<FolderFile[]> {
  const files: FolderFile[] = [];
  await collect(folder, "", files, [idOf(await stat(folder))]);
  return files.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** @param around ids of the folder and of those that it is in */
async function collect(folder: string, prefix: string, files: FolderFile[], around: readonly string[]): Promise<void> {
  const names = await readdir(join(folder, prefix)).catch((error: unknown) => {
    // Gone since its parent was read: it is being replaced.
    if (prefix !== "") return [];
    throw error;
  });
  await Promise.all(
    names.map(async (entry) => {
      if (entry.startsWith(".") || files.length >= maxFiles) return;
      const name = prefix === "" ? entry : `${prefix}/${entry}`;
      const found = await stat(join(folder, name)).catch(() => null);
      if (found === null) files.push({ name, sizeBytes: null, modifiedMs: 0, inode: 0 });
      else if (!found.isDirectory())
        files.push({ name, sizeBytes: found.size, modifiedMs: found.mtimeMs, inode: found.ino });
      else if (around.length <= maxDepth && !around.includes(idOf(found)))
        await collect(folder, name, files, [...around, idOf(found)]);
    }),
  );
}

/** The same by whatever path a folder is reached. */
function idOf({ dev, ino }: { readonly dev: number; readonly ino: number }): string {
  return `${dev}:${ino}`;
}

/** Changes when a file comes, goes, is written to or is replaced by another of its name. */
export function signatureOf(files: readonly FolderFile[]): string {
  const hash = createHash("sha1");
  for (const { name, sizeBytes, modifiedMs, inode } of files)
    hash.update(`${name}\0${sizeBytes}\0${modifiedMs}\0${inode}\n`);
  return hash.digest("hex");
}
