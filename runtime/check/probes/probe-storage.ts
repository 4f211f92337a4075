import { randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CodedError } from "#contract/errors.ts";
import type { Handler } from "#contract/handler.ts";
import { bucketOf } from "#contract/job.ts";
import type { SupabaseConfig } from "#runtime/container/supabase-config.ts";
import { StorageClient } from "#runtime/delivery/stores/supabase/storage-client.ts";
import { boundedRequest } from "#runtime/lib/bounded-request.ts";

/** In the place of a user's id, which is a UUID. */
const reservedUser = "_probe";
const limitMs = 30_000;

/** The smallest files that buckets of each kind take. */
const samples = {
  image: {
    mimeType: "image/png",
    content: Buffer.from(
      "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
      "base64",
    ),
  },
  video: { mimeType: "video/mp4", content: Buffer.from("\0\0\0\x10ftypisom\0\0\0\0", "latin1") },
  text: { mimeType: "text/plain", content: Buffer.from("a probe\n") },
} as const;

/**
 * Looks for the bucket of each job type, and stores, reads by a signed address and removes a tiny file in the first.
 *
 * @throws CodedError STORAGE_REFUSED (the key, a bucket), STORAGE_UNREACHABLE, ASSET_REFUSED
 */
export async function probeStorage(project: SupabaseConfig, handlers: readonly Handler[]): Promise<string> {
  const signal = AbortSignal.timeout(limitMs);
  const storage = new StorageClient({ project, nowMs: Date.now, idleMs: 10_000 });
  const kinds = new Map(
    handlers.flatMap(({ type, produces }) => (produces === "nothing" ? [] : [[bucketOf({ type }), produces] as const])),
  );
  if (kinds.size === 0) return "no job type makes files";
  try {
    const jobId = randomUUID();
    const path = `${reservedUser}/${jobId}`;
    for (const bucket of kinds.keys()) await storage.sizeOf({ bucket, path }, signal);
    const [[bucket, kind] = ["", "text"] as const] = kinds;
    await storeAndRemove(storage, { bucket, path, jobId, ...samples[kind] }, signal);
    return `buckets of ${kinds.size} job types are there; a file was stored in ${bucket}, read and removed`;
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new CodedError("STORAGE_UNREACHABLE", `The storage did not answer all requests within ${limitMs / 1000} s.`);
  }
}

interface Sample {
  readonly bucket: string;
  readonly path: string;
  readonly jobId: string;
  readonly mimeType: string;
  readonly content: Buffer;
}

async function storeAndRemove(storage: StorageClient, sample: Sample, signal: AbortSignal): Promise<void> {
  const { content, ...object } = sample;
  const folder = await mkdtemp(join(tmpdir(), "ourvidz-probe-"));
  try {
    const file = join(folder, "sample");
    await writeFile(file, content);
    await storage.upload({ ...object, file, userId: reservedUser, sizeBytes: content.byteLength }, signal);
    try {
      await readBack(storage, sample, signal);
    } finally {
      await storage.remove(object, AbortSignal.timeout(limitMs));
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function readBack(storage: StorageClient, { bucket, path, content }: Sample, signal: AbortSignal): Promise<void> {
  const url = (await storage.sign(bucket, [path], 60, signal)).get(path);
  if (url === undefined)
    throw new CodedError("STORAGE_REFUSED", `The file that was stored in ${bucket} cannot be found there again.`);
  const { status, text } = await boundedRequest({ method: "GET", url, headers: {}, signal, idleMs: 10_000, limitMs });
  if (status === 200 && text === content.toString("utf8")) return;
  throw new CodedError("STORAGE_REFUSED", `The file that was stored in ${bucket} cannot be read again (${status}).`);
}
