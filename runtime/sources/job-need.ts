import type { Job } from "#contract/job.ts";
import type { JobNeed, Offer, UnofferedNeed } from "./job-source.ts";

/** What a job of this worker lacks; null when a container offers to run what needs this. */
export type FindLack = (worker: string, need: JobNeed) => UnofferedNeed | null;

/** What a container must offer to run the job. */
export function needOf({ type, model_variant }: Pick<Job, "type" | "model_variant">): JobNeed {
  return { type, model: model_variant ?? null };
}

/** Whether a container that offers this can run a job with that need. */
export function isCovered({ type, model }: JobNeed, { types, defaultModelTypes, models }: Offer): boolean {
  if (!types.includes(type)) return false;
  return model === null ? defaultModelTypes.includes(type) : models.includes(model);
}
