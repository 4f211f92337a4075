import { statfs } from "node:fs/promises";
import { CodedError } from "#contract/errors.ts";
import type { Config } from "#runtime/container/config.ts";
import { openEmbedded } from "#runtime/container/embedded.ts";
import { bytes } from "#runtime/lib/bytes.ts";
import { probeFolder } from "./probe-folder.ts";

/** Less than one long video with its frames. */
const leastFreeBytes = 1e9;

/** Opens the data folder and its database as a container does, and writes a file into it. */
export async function tryDataFolder(config: Config): Promise<{ value: true; message: string }> {
  const embedded = await openEmbedded(config);
  try {
    await probeFolder(config.dataFolder);
    const { bavail, bsize } = await statfs(config.dataFolder);
    const free = bavail * bsize;
    if (free < leastFreeBytes) {
      throw new CodedError(
        "DISK_FULL",
        `Only ${bytes(free)} are free in ${config.dataFolder}: free at least 1 GB, or set DATA_DIR to another disk.`,
      );
    }
    return { value: true, message: `${config.dataFolder} is writable, ${bytes(free)} free` };
  } finally {
    await embedded.close();
  }
}
