import { traceparentOf } from "#runtime/observe/tracing/traceparent.ts";
import { assetNames, assetPath } from "./callbacks/build-callback.ts";
import type { OutboxEntry } from "./outbox-entry.ts";
import type { AssetStore } from "./stores/asset-store.ts";

/**
 * Stores the files of a finished job, one after the other, each with its thumbnail. They always go to the same paths, so that a
 * repetition replaces what an earlier try has stored.
 * @throws as `AssetStore.put` does
 */
export async function putFiles(
  store: Pick<AssetStore, "put">,
  { bucket, userId, files, lease: { jobId }, callback }: OutboxEntry,
  signal: AbortSignal,
): Promise<void> {
  const traceparent = traceparentOf(callback.metadata);
  const put = (name: string, file: string, mimeType: string) => {
    const path = assetPath({ id: jobId, user_id: userId }, name);
    return store.put({ bucket, path, userId, jobId, file, mimeType, traceparent }, signal);
  };
  for (const file of files) {
    const names = assetNames(file);
    await put(names.main, file.file, file.mimeType);
    if (file.thumbnail && names.thumbnail !== null)
      await put(names.thumbnail, file.thumbnail.file, file.thumbnail.mimeType);
  }
}
