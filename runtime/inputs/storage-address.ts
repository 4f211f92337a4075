import { z } from "zod";
import { PermanentError, RetryableError } from "#contract/errors.ts";
import type { SupabaseConfig } from "../supabase-config.ts";
import { shownUrl } from "./address-guard.ts";
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
const answerLimitMs = 10_000;

const signedAnswer = z.object({ signedURL: z.string().startsWith("/") });

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
  const path = [object.bucket, ...object.segments].map(encodeURIComponent).join("/");
  const address = new URL(`${project.url}/storage/v1/object/sign/${path}`);
  const fail = (why: string) =>
    new RetryableError(`The address of ${shownUrl(address)} could not be signed anew: ${why}.`, {
      code: "INPUT_UNREACHABLE",
    });
  const response = await fetch(address, {
    method: "POST",
    headers: {
      apikey: project.serviceKey,
      Authorization: `Bearer ${project.serviceKey}`,
      "Content-Type": "application/json",
    },
    body: JSON.stringify({ expiresIn: signedForSeconds }),
    redirect: "error",
    signal: AbortSignal.any([signal, AbortSignal.timeout(answerLimitMs)]),
  }).catch((cause: unknown) => {
    throw unreachable(address, cause, signal);
  });
  if (response.status === 401 || response.status === 403) throw fail("the storage refuses SUPABASE_SERVICE_KEY");
  if (response.status >= 400 && response.status < 500 && response.status !== 408 && response.status !== 429) {
    throw new PermanentError(`The reference file ${shownUrl(address)} does not exist.`, { code: "INPUT_NOT_FOUND" });
  }
  const answer = signedAnswer.safeParse(response.ok ? await response.json().catch(() => null) : null);
  if (!answer.success) throw fail(`the storage answered ${response.status}`);
  return `${project.url}/storage/v1${answer.data.signedURL}`;
}
