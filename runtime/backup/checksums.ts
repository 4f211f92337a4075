import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { CodedError } from "#contract/errors.ts";

/** The archive's last file: an archive without it is not whole. */
export const checksumsName = "checksums.json";

/** What every other file of the archive has to be. */
export const checksums = z.object({
  files: z.array(z.object({ path: z.string(), size_bytes: z.int(), sha256: z.string() })),
});

/** Every file below the folder by its path there. @throws CodedError INVALID_REQUEST for links and the like */
export async function filesBelow(folder: string, path = ""): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(join(folder, path), { withFileTypes: true })) {
    const below = path === "" ? entry.name : `${path}/${entry.name}`;
    if (entry.isDirectory()) found.push(...(await filesBelow(folder, below)));
    else if (entry.isFile()) found.push(below);
    else throw new CodedError("INVALID_REQUEST", `${below} is neither a file nor a folder.`);
  }
  return found;
}

/**
 * Compares what was unpacked with the archive's checksums, and removes those.
 * @throws CodedError INVALID_REQUEST that names the first file that differs; the signal's reason
 */
export async function checkUnpacked(folder: string, archive: string, signal: AbortSignal): Promise<void> {
  const damaged = (what: string, cause?: unknown) =>
    new CodedError("INVALID_REQUEST", `${archive} is damaged: ${what}. Nothing was restored; use another backup.`, {
      cause,
    });
  const { files } = await readChecksums(folder).catch((cause: unknown) => {
    throw damaged(`its last file, ${checksumsName}, is missing or cannot be read`, cause);
  });
  const unexpected = new Set(await filesBelow(folder));
  for (const { path, size_bytes, sha256 } of files) {
    if (!unexpected.delete(path)) throw damaged(`${path} is missing`);
    const found = await digestOf(join(folder, path), signal);
    if (found.sizeBytes !== size_bytes || found.sha256 !== sha256)
      throw damaged(`${path} is not what was put into it (its SHA-256 or its size differs)`);
  }
  const [first] = unexpected;
  if (first !== undefined) throw damaged(`${first} is not among its checksums`);
}

async function readChecksums(folder: string): Promise<z.output<typeof checksums>> {
  const path = join(folder, checksumsName);
  const read = checksums.parse(JSON.parse(await readFile(path, "utf8")));
  await rm(path);
  return read;
}

async function digestOf(path: string, signal: AbortSignal): Promise<{ sizeBytes: number; sha256: string }> {
  const hash = createHash("sha256");
  let sizeBytes = 0;
  await pipeline(
    createReadStream(path, { highWaterMark: 1024 * 1024 }),
    async (chunks: AsyncIterable<Buffer>) => {
      for await (const chunk of chunks) {
        sizeBytes += chunk.length;
        hash.update(chunk);
      }
    },
    { signal },
  );
  return { sizeBytes, sha256: hash.digest("hex") };
}
