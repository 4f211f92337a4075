import { z } from "zod";
import { cancelQueuedJob } from "../_shared/cancel.ts";
import { readJson } from "../_shared/edge/body.ts";
import { connectQueue } from "../_shared/edge/connect-queue.ts";
import { connectDatabase } from "../_shared/edge/database.ts";
import { type CallOfAnybody, defineEdgeFunction } from "../_shared/edge/edge-function.ts";
import { jobIdFrom } from "../_shared/edge/job-id.ts";
import { sweepOutbox } from "../_shared/edge/outbox.ts";
import { CodedError, toErrorReport } from "../_shared/errors.ts";
import { isJsonObject } from "../_shared/synonyms.ts";

/*
 * Requests the end of a job. The database says whether its user may, and ends what waits there; what has been pushed to
 * Redis is also ended there. A job that runs ends within a step, and its container calls back.
 */
const oneJob = z.object({
  job_id: z.string(),
  outcome: z.enum(["cancelled", "requested"]),
  job_status: z.string(),
  source: z.enum(["upstash", "supabase"]),
  queue: z.string(),
  run: z.number(),
  attempt: z.number(),
});
type OneJob = z.output<typeof oneJob>;
type Cancelled = OneJob & { readonly children: readonly Cancelled[] };

/** Children of a job are cancelled with it. */
const cancelled: z.ZodType<Cancelled> = oneJob.extend({
  get children() {
    return z.array(cancelled);
  },
});

const record = z.object({
  job: z.looseObject({ type: z.string(), user_id: z.string().default("anonymous"), priority: z.number().default(0) }),
});

export const cancelJob = defineEdgeFunction({
  name: "cancel-job",
  methods: ["POST"],
  callers: ["user", "service"],
  async run(call) {
    const { caller, config } = call;
    const body = await readJson(call.request, 4096);
    const job_id = jobIdFrom(isJsonObject(body) ? body.job_id : undefined);
    const database =
      caller.kind === "service" ? call.database : connectDatabase(config.supabaseUrl, config.browserKey, caller.token);
    const requested = await database.call("request_cancel", { job_id }, cancelled);
    let outcome: OneJob["outcome"] | "delivering" = requested.outcome;
    // Should one of them fail, the cancel of the job, and with it of its children, can be requested again.
    for (const job of childrenFirst(requested)) outcome = await cancelOnQueue(call, job);
    call.inBackground("sweeping the outbox", sweepOutbox(call));
    if (outcome === "delivering") {
      const message = `Job ${job_id} has been worked off and is being delivered: there is nothing to cancel.`;
      throw new CodedError("JOB_ALREADY_SETTLED", message, { details: { status: "delivering" } });
    }
    return { status: outcome === "cancelled" ? 200 : 202, body: { success: true, job_id, outcome } };
  },
});

function childrenFirst(job: Cancelled): Cancelled[] {
  return [...job.children.flatMap(childrenFirst), job];
}

async function cancelOnQueue(call: CallOfAnybody, job: OneJob): Promise<"cancelled" | "requested" | "delivering"> {
  const { config, database, log } = call;
  if (job.source !== "upstash") return job.outcome;
  try {
    if (config.queue === null) {
      const message = `Job ${job.job_id} is on Redis, and UPSTASH_REDIS_REST_URL is not set: it cannot be cancelled there.`;
      throw new CodedError("CONFIG_INVALID", message);
    }
    const { job: element } = await database.call("get_job", { job_id: job.job_id }, record);
    const known = { id: job.job_id, ...element, worker: job.queue.replace(/_queue$/, "") };
    const became = await cancelQueuedJob(connectQueue({ ...config.queue, timeoutMs: 5_000 }), known, {
      prefix: config.queue.prefix,
      tries: 2,
    });
    if (job.outcome === "requested" && became === "delivering") return became;
    if (job.outcome === "cancelled" || became !== "cancelled") return job.outcome;
    // Its row is to say so at once; the container that reports the end finds it known.
    const { job_id, run, attempt } = job;
    const callback = { job_id, status: "cancelled", run, attempt, assets: [], metadata: {} };
    await database.call("apply_job_callback", { callback }, z.looseObject({}));
    return "cancelled";
  } catch (error) {
    // A job that has ended here cannot end otherwise, whatever its container does: what is lost is the GPU's time.
    if (job.outcome !== "cancelled") throw error;
    log.warn({ job_id: job.job_id, error: toErrorReport(error).message }, "a cancelled job is still on its queue");
    return "cancelled";
  }
}
