import { copyFile, open, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";

/** Renames, or copies where source and target are on different file systems. */
export async function moveFile(source: string, target: string): Promise<void> {
  try {
    await rename(source, target);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EXDEV")) throw error;
    const temporary = join(target, "..", `.${basename(target)}.part`);
    await copyFile(source, temporary);
    await syncFile(temporary);
    await rename(temporary, target);
    await rm(source, { force: true });
  }
}

export async function syncFile(path: string): Promise<void> {
  const handle = await open(path, "r+");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes the names in a folder durable; a file system that cannot sync a folder keeps them by itself. */
export async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } catch (error) {
    if (!(error instanceof Error && "code" in error && (error.code === "EINVAL" || error.code === "EPERM")))
      throw error;
  } finally {
    await handle.close();
  }
}
