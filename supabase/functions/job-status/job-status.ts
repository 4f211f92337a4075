import { z } from "zod";
import { readJson } from "../_shared/edge/body.ts";
import { connectDatabase } from "../_shared/edge/database.ts";
import { type CallOfAnybody, defineEdgeFunction } from "../_shared/edge/edge-function.ts";
import { jobIdFrom } from "../_shared/edge/job-id.ts";
import { sweepOutbox } from "../_shared/edge/outbox.ts";
import { pausedSince, waitingFor } from "../_shared/edge/waiting-for.ts";
import { CodedError } from "../_shared/errors.ts";
import { type UnofferedNeed, unofferedNeed } from "../_shared/queue-offers.ts";
import { isJsonObject } from "../_shared/synonyms.ts";

/*
 * How a job stands, for apps that ask and do not listen to its row. Read with the user's own rights: another user's job
 * is not found.
 */
const jobColumns =
  "id,type,status,progress,run,attempt,prompt,enhanced_prompt,error,metadata,created_at,expires_at,started_at,settled_at,queue_seconds,generation_seconds,cancel_requested_at,delivery";
const assetColumns = "index,type,bucket,path,thumbnail_path,mime_type,size_bytes,metadata";
const maxAssets = 1000;

const jobRow = z.looseObject({ id: z.string(), status: z.string(), cancel_requested_at: z.string().nullable() });
/** What containers offer is not for users to read, but what their own job needs is. */
const queuedJob = z.object({
  queue: z.string(),
  source: z.string(),
  job: z.looseObject({ type: z.string(), model_variant: z.string().nullish() }),
  waiting_for: unofferedNeed.nullable(),
  place: z.number().nullish(),
  paused_since_ms: z.number().nullish(),
});
const assetRow = z.looseObject({ index: z.number(), bucket: z.string(), path: z.string() });

export const jobStatus = defineEdgeFunction({
  name: "job-status",
  methods: ["GET", "POST"],
  callers: ["user", "service"],
  async run(call) {
    const { caller, config, request } = call;
    const job_id = jobIdFrom(request.method === "GET" ? fromQuery(request) : fromBody(await readJson(request, 4096)));
    const seen =
      caller.kind === "service" ? call.database : connectDatabase(config.supabaseUrl, config.browserKey, caller.token);
    const [jobs, assets] = await Promise.all([
      seen.rows(
        { table: "ourvidz_jobs", columns: jobColumns, where: { column: "id", equals: job_id }, limit: 1 },
        jobRow,
      ),
      seen.rows(
        {
          table: "ourvidz_assets",
          columns: assetColumns,
          where: { column: "job_id", equals: job_id },
          orderBy: "index",
          limit: maxAssets,
        },
        assetRow,
      ),
    ]);
    const [job] = jobs;
    if (job === undefined) throw new CodedError("JOB_NOT_FOUND", `There is no job ${job_id}.`);
    call.inBackground("sweeping the outbox", sweepOutbox(call));
    const { id, cancel_requested_at, ...rest } = job;
    const wait = job.status === "queued" ? await waitOf(job_id, call) : noWait;
    const cancel_requested = cancel_requested_at !== null;
    const shown = { job_id: id, ...rest, cancel_requested, ...wait, assets };
    return { status: 200, body: { success: true, job: shown } };
  },
});

/** What keeps a job waiting. */
interface Wait {
  /** 1 goes next. On Redis, where users take turns, it is the place by priority and age among the rows that wait. */
  readonly queue_position: number | null;
  /** An operator has paused its queue: until it is resumed, nothing is taken from it. */
  readonly queue_paused_since: string | null;
  readonly waiting_for: UnofferedNeed | null;
}
const noWait: Wait = { queue_position: null, queue_paused_since: null, waiting_for: null };

async function waitOf(job_id: string, call: CallOfAnybody): Promise<Wait> {
  const queued = await call.database.call("get_job", { job_id }, queuedJob.nullable());
  if (queued === null) return noWait;
  const { source, queue, place, paused_since_ms } = queued;
  const { type, model_variant } = queued.job;
  const [lack, pausedMs] =
    source === "supabase"
      ? [queued.waiting_for, paused_since_ms ?? null]
      : await Promise.all([waitingFor(call, { queue, type, model: model_variant ?? null }), pausedSince(call, queue)]);
  const queue_paused_since = pausedMs === null ? null : new Date(pausedMs).toISOString();
  return { queue_position: place ?? null, queue_paused_since, waiting_for: lack };
}

function fromQuery(request: Request): string | null {
  return new URL(request.url).searchParams.get("job_id");
}

function fromBody(body: unknown): unknown {
  return isJsonObject(body) ? body.job_id : undefined;
}
