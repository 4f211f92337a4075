import { constants, copyFile, rm, stat } from "node:fs/promises";
import { PermanentError } from "#contract/errors.ts";
import { inputBucket, inputHash } from "#contract/input-address.ts";
import { makeFolder } from "#runtime/container/data-folder.ts";
import type { SupabaseConfig } from "#runtime/container/supabase-config.ts";
import type { LocalAssetStore } from "#runtime/delivery/stores/local-asset-store.ts";
import { StorageClient } from "#runtime/delivery/stores/supabase/storage-client.ts";
import { hashOf } from "../input-cache.ts";
import { type FetchedFile, fileFor, type InputRequest } from "../input-request.ts";
import type { InputKind } from "../limits.ts";
import { unreachable } from "../request.ts";
import { typeOfUpload } from "./upload-path.ts";

/*
 * An uploaded file for a job that names it. Its path begins with the job's user: another user's is not found, whoever knows
 * its content.
 */

/** Long enough to begin one download. */
const signedForSeconds = 120;

/** A copy of the file from this data folder; null when it is not there, or is not what its name says any more. */
export async function copyUpload(
  files: Pick<LocalAssetStore, "locate">,
  paths: readonly string[],
  request: InputRequest,
): Promise<FetchedFile | null> {
  const sha256 = inputHash(request.url);
  for (const path of paths) {
    const mimeType = typeOfUpload(path);
    const source = files.locate(inputBucket, path);
    const found = await stat(source).catch(() => null);
    if (found === null || mimeType === undefined || sha256 === null) continue;
    const file = fileFor(request, { mimeType });
    await makeFolder(request.folder);
    // A copy, because handlers may write into their file.
    await copyFile(source, file, constants.COPYFILE_FICLONE);
    if ((await hashOf(file)) === sha256) return { file, mimeType, sizeBytes: found.size, sha256 };
    await rm(file, { force: true });
  }
  return null;
}

/**
 * A signed address of the file in the app's storage, where every container of the app stores what is uploaded to it; null when
 * it is not there.
 *
 * @throws RetryableError INPUT_UNREACHABLE; the signal's reason when it is aborted
 */
export async function signUpload(
  paths: readonly string[],
  project: SupabaseConfig,
  signal: AbortSignal,
): Promise<string | null> {
  const storage = new StorageClient({ project, nowMs: Date.now });
  const addresses = await storage.sign(inputBucket, paths, signedForSeconds, signal).catch((cause: unknown) => {
    throw unreachable(new URL(`${storage.baseUrl}/object/sign/${inputBucket}`), cause, signal);
  });
  return [...addresses.values()][0] ?? null;
}

const kindNames = { media: "picture or video", weights: "LoRA file" } as const satisfies Record<InputKind, string>;

export function noSuchUpload(address: string, kind: InputKind): PermanentError {
  return new PermanentError(
    `There is no uploaded ${kindNames[kind]} ${address} of the job's user here: it has expired, was uploaded for another user or to another container, or is of another kind. Upload it again (POST /inputs).`,
    { code: "INPUT_NOT_FOUND" },
  );
}

export function otherContent(address: string): PermanentError {
  return new PermanentError(
    `The uploaded file ${address} is not what its address says: upload it again (POST /inputs).`,
    {
      code: "INPUT_INVALID",
    },
  );
}
