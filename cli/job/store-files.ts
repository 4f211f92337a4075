import { createReadStream, openAsBlob } from "node:fs";
import { stat } from "node:fs/promises";
import type { OurvidzClient } from "#client/client.ts";
import { inputAddress } from "#contract/input-address.ts";
import type { Config } from "#runtime/container/config.ts";
import type { Embedded } from "#runtime/container/embedded.ts";
import type { Uploads } from "#runtime/inputs/uploads/uploads.ts";
import type { JobQueues } from "#runtime/sources/job-queues.ts";
import type { LocalFile } from "./local-inputs.ts";

/* Files of this machine, brought to where the container that runs the job finds them. */

/** Uploads them to a container; returns the address of each. */
export async function uploadFiles(
  files: readonly LocalFile[],
  client: OurvidzClient,
  userId: string | undefined,
): Promise<ReadonlyMap<string, string>> {
  const addresses = new Map<string, string>();
  for (const { text, file } of files)
    addresses.set(text, (await client.uploadInput(await openAsBlob(file), { userId })).input);
  return addresses;
}

/** Stores them as uploaded files, where a container with this configuration stores them. */
export async function storeFiles(
  files: readonly LocalFile[],
  uploads: Uploads,
  userId: string,
): Promise<ReadonlyMap<string, string>> {
  const addresses = new Map<string, string>();
  const { signal } = new AbortController();
  for (const { text, file } of files) {
    const announcedBytes = (await stat(file)).size;
    const { upload } = await uploads.add({ userId, content: createReadStream(file), announcedBytes, signal });
    addresses.set(text, inputAddress(upload.sha256));
  }
  return addresses;
}

/** The uploaded files of a container with this configuration. */
export async function openUploads(config: Config, embedded: Embedded, queues: JobQueues): Promise<Uploads> {
  const [{ connectUploads }, { connectDelivery }, { createLogger }] = await Promise.all([
    import("#runtime/inputs/uploads/connect-uploads.ts"),
    import("#runtime/delivery/connect-delivery.ts"),
    import("#runtime/observe/log.ts"),
  ]);
  const log = await createLogger({ level: "silent", format: "json" });
  const { store } = connectDelivery(config, embedded, log);
  return connectUploads(config, { ...embedded, store, queues }, log);
}
