import { access } from "node:fs/promises";
import { CodedError } from "#contract/errors.ts";
import { bucketOf, type Job } from "#contract/job.ts";
import type { JobView } from "#functions/api/schemas/job-view.ts";
import { viewJob } from "#functions/jobs/job-view.ts";
import type { Embedded } from "#runtime/container/embedded.ts";
import { endpointOfWorker } from "#runtime/endpoints/endpoint-job.ts";
import type { JobRecord } from "#runtime/sources/job-source.ts";

/** A job as the command shows it; where a file lies, in place of the address it is fetched from, when it is here. */
export interface ShownJob extends Omit<JobView, "assets"> {
  readonly assets: readonly { readonly path: string; readonly file?: string; readonly url?: string | null }[];
}

/** A job as `jobs` and `job` print it with --json: as over HTTP, but assets are files, where they are in this data folder, and not addresses. */
export async function jobJson(record: JobRecord, { store }: Pick<Embedded, "store">): Promise<ShownJob> {
  const view = await viewJob(record, { store });
  const assets = view.assets.map(async ({ url, thumbnail_url, path, ...asset }) => {
    const file = await assetFile(store, record.job, path);
    return { ...asset, path, ...(file === undefined ? {} : { file }) };
  });
  return { ...view, assets: await Promise.all(assets) };
}

/** Where the local asset store has the file; undefined when it lies elsewhere: in the app's storage, or another data folder. */
async function assetFile(store: Embedded["store"], job: Job, path: string): Promise<string | undefined> {
  try {
    const file = store.locate(bucketOf(job), path);
    await access(file);
    return file;
  } catch (error) {
    if (error instanceof CodedError || (error instanceof Error && "code" in error)) return undefined;
    throw error;
  }
}

/**
 * Status with what is worth knowing beside it: `running 40 %`, `running (cancelling)`, `queued (no container offers it)`,
 * `delivering (CALLBACK_REFUSED)`.
 */
export function statusText(
  job: Pick<JobView, "status" | "progress" | "cancel_requested" | "waiting_for" | "delivery">,
): string {
  // A container of the version before says nothing of it.
  if (job.status === "running" && job.delivery)
    return job.delivery.error === null ? "delivering" : `delivering (${job.delivery.error.code})`;
  if (job.status === "queued" && job.waiting_for !== null)
    return job.waiting_for.served === false
      ? "queued (no container serves its worker)"
      : "queued (no container offers it)";
  if (job.status === "running" && job.cancel_requested) return "running (cancelling)";
  if (job.status === "running" && job.progress !== null) return `running ${Math.round(job.progress * 100)} %`;
  return job.status;
}

/** What to do where no container runs the worker at all. */
export function unservedText(worker: string): string {
  const endpoint = endpointOfWorker(worker);
  if (endpoint !== null)
    return `no container has asked the endpoint ${endpoint} for jobs: docs/26-runpod.md says how one does`;
  return `no container serves the worker ${worker}: start one with WORKERS=${worker}`;
}

/** What a job waits for, of its worker. */
export function neededText(worker: string, need: NonNullable<JobView["waiting_for"]>): string {
  const endpoint = endpointOfWorker(worker);
  if (endpoint !== null) return `a container of the endpoint ${endpoint}`;
  return `a container with the worker ${worker} that offers ${needText(need)}`;
}

/** What a job needs that no container offers: `the job type paint with the model painter`. */
export function needText({ type, model }: NonNullable<JobView["waiting_for"]>): string {
  return model === null ? `the job type ${type} with its own model` : `the job type ${type} with the model ${model}`;
}

const units = [
  { seconds: 86_400, name: "d" },
  { seconds: 3600, name: "h" },
  { seconds: 60, name: "min" },
] as const;

/** `12 s`, `3 min`, `5 h`, `2 d`. */
export function age(fromMs: number, nowMs: number): string {
  const seconds = Math.max(0, (nowMs - fromMs) / 1000);
  const unit = units.find((candidate) => seconds >= candidate.seconds);
  return unit === undefined ? `${Math.floor(seconds)} s` : `${Math.floor(seconds / unit.seconds)} ${unit.name}`;
}
