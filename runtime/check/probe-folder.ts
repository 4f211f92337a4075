import { open, rm } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";

const probeBytes = 2 ** 20;

/** Writes a megabyte to the folder's disk and removes it again. @throws file system errors as they are */
export async function probeFolder(folder: string): Promise<void> {
  const path = join(folder, `.probe-${process.pid}`);
  try {
    const file = await open(path, "w");
    try {
      await file.write(Buffer.alloc(probeBytes));
      await file.sync();
    } finally {
      await file.close();
    }
  } finally {
    await rm(path, { force: true });
  }
}
