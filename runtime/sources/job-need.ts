import type { Job } from "#contract/job.ts";
import type { JobNeed, UnofferedNeed } from "#contract/queue-offers.ts";

/** What a job of this worker lacks; null when a container offers to run what needs this. */
export type FindLack = (worker: string, need: JobNeed) => UnofferedNeed | null;

/** What a container must offer to run the job. */
export function needOf({ type, model_variant }: Pick<Job, "type" | "model_variant">): JobNeed {
  return { type, model: model_variant ?? null };
}
