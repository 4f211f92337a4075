/* What RunPod takes, in bytes of JSON. */
const runBytes = 10 * 1024 * 1024;
const runSyncBytes = 20 * 1024 * 1024;

/** Of one chunk of a stream. */
export const maxChunkBytes = 1024 * 1024;

/** How large a request's body and its result may be: more for those that are waited for, whose ids say so. */
export function maxBodyBytes(jobId: string): number {
  return jobId.startsWith("sync-") ? runSyncBytes : runBytes;
}
