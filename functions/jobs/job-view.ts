import { callbackAsset } from "#contract/callback.ts";
import { isPermanent } from "#contract/errors.ts";
import { bucketOf, type Job } from "#contract/job.ts";
import type { ReleaseReason } from "#contract/release-reason.ts";
import { withoutReserved } from "#contract/reserved-metadata.ts";
import type { Runtime } from "#runtime/container/runtime.ts";
import { type JobRecord, queueName } from "#runtime/sources/job-source.ts";
import type { JobView } from "../api/schemas/job-view.ts";
import { addressAt } from "../http/request-base.ts";

export interface ViewContext {
  readonly store: Pick<Runtime["store"], "url">;
}

/** @param base where the caller reaches the container, for addresses of the data folder's files; without it they are paths */
export async function viewJob(record: JobRecord, { store }: ViewContext, base?: string): Promise<JobView> {
  const { job, result } = record;
  const address = async (path: string) => absolute(await store.url(bucketOf(job), path), base);
  // What a newer version of the program stored in a shape of its own must not hide the rest of the list.
  const assets = (result?.assets ?? []).flatMap((asset) => callbackAsset.safeParse(asset).data ?? []);
  return {
    job_id: job.id,
    type: job.type,
    worker: record.worker,
    user_id: job.user_id,
    status: record.status,
    attempt: record.attempt,
    attempts: record.attempts.map((attempt) => ({
      attempt: attempt.attempt,
      worker_id: attempt.workerId,
      started_at: iso(attempt.startedAtMs),
      ended_at: isoOrNull(attempt.endedAtMs),
      outcome: attempt.outcome,
      error: attempt.error,
    })),
    priority: job.priority,
    prompt: job.prompt ?? null,
    config: job.config,
    metadata: withoutReserved(job.metadata),
    fields: otherFields(job),
    created_at: iso(record.createdAtMs),
    available_at: iso(record.availableAtMs),
    started_at: isoOrNull(record.startedAtMs),
    settled_at: isoOrNull(record.settledAtMs),
    cancel_requested: record.cancelRequested,
    waiting_for: record.waitingFor,
    queue_position: record.place,
    waiting_reason: waitingReasonOf(record),
    delivery: record.delivery,
    progress: record.progress,
    error: errorOf(record.error),
    assets: await Promise.all(
      assets.map(async (asset) => ({
        ...asset,
        path: asset.url,
        url: await address(asset.url),
        thumbnail_url: typeof asset.thumbnail_url === "string" ? await address(asset.thumbnail_url) : null,
      })),
    ),
    text: result?.text ?? null,
    result_metadata: result === null ? null : { ...result.metadata },
  };
}

/** Why a queued job waits: its queue is paused, or the last container gave it back. */
export function waitingReasonOf({ status, attempts, pausedSinceMs, worker }: WaitingJob): ReleaseReason | null {
  if (status === "queued" && pausedSinceMs !== null) {
    const queue = queueName(worker);
    const message = `The queue ${queue} is paused since ${iso(pausedSinceMs)}, until it is resumed (POST /queues/${queue}/resume).`;
    return { code: "QUEUE_PAUSED", message };
  }
  return status === "queued" ? (attempts.at(-1)?.reason ?? null) : null;
}

type WaitingJob = Pick<JobRecord, "status" | "attempts" | "pausedSinceMs" | "worker">;

/** Says of an error that would come again that it is permanent, also where its report is older than that word. */
function errorOf(error: JobRecord["error"]): JobRecord["error"] {
  return error !== null && isPermanent(error) ? { ...error, permanent: true } : error;
}

/** So that the same job can be handed in again. */
function otherFields({ id, type, user_id, prompt, config, metadata, priority, created_at, ...fields }: Job) {
  return fields;
}

export function iso(atMs: number): string {
  return new Date(atMs).toISOString();
}

function isoOrNull(atMs: number | null): string | null {
  return atMs === null ? null : iso(atMs);
}

export function absolute(address: string | null, base: string | undefined): string | null {
  return address === null || base === undefined ? address : addressAt(base, address);
}
