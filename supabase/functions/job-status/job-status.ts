import { z } from "zod";
import { readJson } from "../_shared/edge/body.ts";
import { connectDatabase } from "../_shared/edge/database.ts";
import { type CallOfAnybody, defineEdgeFunction } from "../_shared/edge/edge-function.ts";
import { jobIdFrom } from "../_shared/edge/job-id.ts";
import { sweepOutbox } from "../_shared/edge/outbox.ts";
import { waitingFor } from "../_shared/edge/waiting-for.ts";
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
    const waiting_for = job.status === "queued" ? await lackOf(job_id, call) : null;
    const cancel_requested = cancel_requested_at !== null;
    const shown = { job_id: id, ...rest, cancel_requested, waiting_for, assets };
    return { status: 200, body: { success: true, job: shown } };
  },
});

async function lackOf(job_id: string, call: CallOfAnybody): Promise<UnofferedNeed | null> {
  const queued = await call.database.call("get_job", { job_id }, queuedJob.nullable());
  if (queued === null || queued.source === "supabase") return queued?.waiting_for ?? null;
  const { type, model_variant } = queued.job;
  return waitingFor(call, { queue: queued.queue, type, model: model_variant ?? null });
}

function fromQuery(request: Request): string | null {
  return new URL(request.url).searchParams.get("job_id");
}

function fromBody(body: unknown): unknown {
  return isJsonObject(body) ? body.job_id : undefined;
}
