import { randomUUID } from "node:crypto";
import { lstat, mkdir, readdir, rename, rm, rmdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import { CodedError } from "#contract/errors.ts";

/* Where a model goes that is deleted: aside at once, so that no container finds half of it, and then file by file. */

/** A model that is fetched may have a name that begins like this, but not one that ends so. */
const asideName = /^removed-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * At once under its name; of a link, the link alone.
 *
 * @throws CodedError MODEL_NOT_FOUND when the folder cannot be deleted
 */
export async function removeFolder(modelsFolder: string, path: string): Promise<void> {
  try {
    if ((await lstat(path)).isSymbolicLink()) return await unlink(path);
    const parent = pullingFolder(modelsFolder);
    await mkdir(parent, { recursive: true });
    await rename(path, join(parent, `removed-${randomUUID()}`));
    await removeLeftFolders(modelsFolder);
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown reason";
    throw new CodedError("MODEL_NOT_FOUND", `${path} cannot be deleted (${code}): whose is it?`, { cause });
  }
}

/** Deletes what lies aside, also what an earlier command was broken off at. @throws the system's error */
export async function removeLeftFolders(modelsFolder: string): Promise<void> {
  const parent = pullingFolder(modelsFolder);
  const names = await readdir(parent).catch(() => []);
  const left = names.filter((name) => asideName.test(name));
  for (const name of left) await rm(join(parent, name), { recursive: true, force: true, maxRetries: 2 });
  if (left.length > 0) await rmdir(parent).catch(() => undefined);
}

function pullingFolder(modelsFolder: string): string {
  return join(modelsFolder, ".pulling");
}
