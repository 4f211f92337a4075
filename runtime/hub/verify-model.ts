import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { PulledRecord } from "./pulled-record.ts";

/** What is wrong with a file of a model that was pulled. */
export interface FileProblem {
  readonly path: string;
  readonly problem: "missing" | "size" | "content";
}

/** Reads every file of the record again; null where it is as it came. @throws the signal's reason */
export async function verifyFile(
  modelFolder: string,
  { path, size_bytes, sha256 }: PulledRecord["files"][number],
  signal: AbortSignal,
): Promise<FileProblem | null> {
  signal.throwIfAborted();
  const target = join(modelFolder, path);
  const found = await stat(target).catch(() => null);
  if (found === null) return { path, problem: "missing" };
  if (found.size !== size_bytes) return { path, problem: "size" };
  const hash = createHash("sha256");
  for await (const bytes of createReadStream(target, { highWaterMark: 2 ** 20, signal })) hash.update(bytes);
  return hash.digest("hex") === sha256 ? null : { path, problem: "content" };
}
