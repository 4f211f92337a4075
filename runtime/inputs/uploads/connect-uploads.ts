import type { Config } from "#runtime/container/config.ts";
import type { Database } from "#runtime/lib/database/database.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { JobQueues } from "#runtime/sources/job-queues.ts";
import { isSettled } from "#runtime/sources/job-source.ts";
import { partialFolder } from "../input-cache.ts";
import { UploadRows } from "./upload-rows.ts";
import { type UploadStore, Uploads } from "./uploads.ts";

export interface UploadParts {
  readonly database: Database;
  readonly folder: { readonly inputs: string };
  readonly store: UploadStore;
  readonly queues: Pick<JobQueues, "get">;
}

/** The files that were uploaded to this data folder. */
export function connectUploads({ inputs }: Pick<Config, "inputs">, parts: UploadParts, log: Logger): Uploads {
  const { userBytes, totalBytes, keepMs } = inputs.uploads;
  return new Uploads({
    rows: new UploadRows(parts.database),
    store: parts.store,
    folder: partialFolder(parts.folder.inputs),
    limits: { fileBytes: { media: inputs.maxInputBytes, weights: inputs.maxLoraBytes }, userBytes, totalBytes, keepMs },
    log,
    nowMs: Date.now,
    async isActive(jobId) {
      const record = await parts.queues.get(jobId);
      return record !== null && !isSettled(record.status);
    },
  });
}
