import { copyFile, link, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";

/**
 * Gives every regular file below `source` a second name at the same place below `target`, or copies it where the disk has no
 * second names. What is there already stays; what goes meanwhile is left out. Links and folders without files are no part of it.
 * @param skipped folders that are left out, by their path below `source`
 */
export async function linkTree(source: string, target: string, skipped: RegExp, path = ""): Promise<void> {
  const entries = await readdir(join(source, path), { withFileTypes: true }).catch(ifMissing([]));
  for (const entry of entries) {
    const below = path === "" ? entry.name : `${path}/${entry.name}`;
    if (entry.isDirectory() && !skipped.test(below)) await linkTree(source, target, skipped, below);
    else if (entry.isFile()) {
      await mkdir(join(target, path), { recursive: true });
      await linkFile(join(source, below), join(target, below));
    }
  }
}

async function linkFile(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    const code = codeOf(error);
    if (code === "EEXIST" || code === "ENOENT") return;
    if (code !== "EPERM" && code !== "EXDEV" && code !== "EMLINK" && code !== "ENOTSUP" && code !== "ENOSYS")
      throw error;
    await copyFile(from, to).catch(ifMissing(undefined));
  }
}

function ifMissing<Value>(value: Value): (error: unknown) => Value {
  return (error) => {
    if (codeOf(error) === "ENOENT") return value;
    throw error;
  };
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
