import { PermanentError } from "#contract/errors.ts";
import type { SupabaseConfig } from "#runtime/container/supabase-config.ts";
import { StorageClient } from "#runtime/delivery/stores/supabase/storage-client.ts";
import { unreachable } from "./request.ts";

/*
 * Addresses of the app's own storage: `{project}/storage/v1/object/sign/{bucket}/{path}?token=…`. Their tokens run out,
 * often while the job waits in its queue.
 */
export interface StorageObject {
  readonly bucket: string;
  /** Decoded. The first one is the user whose file it is. */
  readonly segments: readonly string[];
}

/** Long enough to begin one download. */
const signedForSeconds = 120;

/** The object that an address of this project's storage means; null for all other addresses. */
export function storageObject(url: URL, projectUrl: string): StorageObject | null {
  const prefix = new URL(`${projectUrl}/storage/v1/object/`).href;
  const plain = `${url.origin}${url.pathname}`;
  if (!plain.startsWith(prefix)) return null;
  const [access, bucket, ...segments] = plain.slice(prefix.length).split("/").map(decode);
  if (access !== "sign" && access !== "authenticated" && access !== "public") return null;
  const names = segments.filter(isPlainName);
  if (!isPlainName(bucket) || names.length === 0 || names.length < segments.length) return null;
  return { bucket, segments: names };
}

/** A name that stays one segment of a path when it is encoded again. */
function isPlainName(name: string | null | undefined): name is string {
  return typeof name === "string" && name !== "" && name !== "." && name !== ".." && !/[/\\\0]/.test(name);
}

function decode(segment: string): string | null {
  try {
    return decodeURIComponent(segment);
  } catch {
    return null;
  }
}

/**
 * Signs the object's address anew with the service key, which may read everything: whether the job may read this file is
 * the caller's to decide.
 *
 * @throws PermanentError INPUT_NOT_FOUND, RetryableError INPUT_UNREACHABLE; the signal's reason when it is aborted
 */
export async function signAgain(object: StorageObject, project: SupabaseConfig, signal: AbortSignal): Promise<string> {
  const path = object.segments.join("/");
  const storage = new StorageClient({ project, nowMs: Date.now });
  const addresses = await storage.sign(object.bucket, [path], signedForSeconds, signal).catch((cause: unknown) => {
    throw unreachable(new URL(`${storage.baseUrl}/object/sign/${object.bucket}/${path}`), cause, signal);
  });
  const address = addresses.get(path);
  if (address !== undefined) return address;
  throw new PermanentError(`The file ${object.bucket}/${path} is not in the storage.`, {
    code: "INPUT_NOT_FOUND",
  });
}
