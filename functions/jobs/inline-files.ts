import { bucketOf } from "#contract/job.ts";
import type { Runtime } from "#runtime/container/runtime.ts";
import type { JobView } from "../api/schemas/job-view.ts";
import { HttpError } from "../errors.ts";

/** Of the files of one answer together: encoding and writing it takes the event loop some ten milliseconds. */
export const maxInlineBytes = 8 * 1024 * 1024;

/**
 * The job with its files in it, in base64; null for one that is not there any more.
 * @throws HttpError RESULT_TOO_LARGE, STORAGE_UNREACHABLE
 */
export async function withFiles(
  job: JobView,
  { store }: Pick<Runtime, "store">,
  signal: AbortSignal,
): Promise<JobView> {
  const announced = job.assets.reduce((sum, { size_bytes = 0 }) => sum + size_bytes, 0);
  if (announced > maxInlineBytes) throw tooLarge(job.job_id, announced);
  const bucket = bucketOf({
    type: job.type,
    bucket: typeof job.fields.bucket === "string" ? job.fields.bucket : undefined,
  });
  const assets: JobView["assets"] = [];
  let left = maxInlineBytes;
  for (const asset of job.assets) {
    const bytes = await store.read(bucket, asset.path, left, signal);
    if (bytes === "too large") throw tooLarge(job.job_id, announced);
    left -= bytes?.byteLength ?? 0;
    assets.push({ ...asset, base64: bytes === null ? null : Buffer.from(bytes).toString("base64") });
  }
  return { ...job, assets };
}

function tooLarge(jobId: string, bytes: number): HttpError {
  const message =
    `The files of job ${jobId} have ${bytes} bytes: an answer holds at most ${maxInlineBytes} of them. ` +
    `Ask without inline, and fetch them at their addresses.`;
  return new HttpError("RESULT_TOO_LARGE", message, { details: { job_id: jobId, bytes, max_bytes: maxInlineBytes } });
}
