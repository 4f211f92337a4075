import { access } from "node:fs/promises";
import { PermanentError } from "#contract/errors.ts";
import type { OutboxEntry } from "./outbox-entry.ts";

/** What the store refused for good, or that a file is not there any more to be stored; null for what may work the next time. */
export async function fileRefusal(error: unknown, { files }: OutboxEntry): Promise<PermanentError | null> {
  if (error instanceof PermanentError) return error;
  for (const { file } of files) {
    const isThere = await access(file).then(
      () => true,
      (problem: NodeJS.ErrnoException) => problem.code !== "ENOENT",
    );
    if (!isThere)
      return new PermanentError(`The file ${file} is gone: nobody can deliver it any more.`, { code: "NO_ASSETS" });
  }
  return null;
}
