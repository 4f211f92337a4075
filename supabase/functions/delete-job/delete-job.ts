import { z } from "zod";
import { readJson } from "../_shared/edge/body.ts";
import { connectDatabase } from "../_shared/edge/database.ts";
import { type CallOfAnybody, defineEdgeFunction } from "../_shared/edge/edge-function.ts";
import { jobIdFrom } from "../_shared/edge/job-id.ts";
import { sweepOutbox } from "../_shared/edge/outbox.ts";
import { connectStorage } from "../_shared/edge/storage.ts";
import { CodedError } from "../_shared/errors.ts";
import { bucketOf } from "../_shared/job.ts";
import { isJsonObject } from "../_shared/synonyms.ts";

/*
 * Deletes a job that has ended, with its files. It is withdrawn first, and no redrive begins it anew from then on; then its files
 * go, then its rows: should the storage fail, the job is still there to be deleted again. What it cost stays in the table of usage,
 * and Redis forgets its record by itself.
 */
const jobRow = z.object({ id: z.string() });
const assetRow = z.object({ bucket: z.string() });
const record = z.object({
  job: z.looseObject({ type: z.string(), bucket: z.string().optional(), user_id: z.string().default("anonymous") }),
});
const maxAssets = 1000;

export const deleteJob = defineEdgeFunction({
  name: "delete-job",
  methods: ["POST"],
  callers: ["user", "service"],
  async run(call) {
    const { caller, config, database } = call;
    const body = await readJson(call.request, 4096);
    const job_id = jobIdFrom(isJsonObject(body) ? body.job_id : undefined);
    // With the user's own rights: another user's job is not found.
    const seen =
      caller.kind === "service" ? database : connectDatabase(config.supabaseUrl, config.browserKey, caller.token);
    const where = { column: "id", equals: job_id };
    const [job] = await seen.rows({ table: "ourvidz_jobs", columns: "id", where, limit: 1 }, jobRow);
    if (job === undefined) throw new CodedError("JOB_NOT_FOUND", `There is no job ${job_id}.`);
    assertGone(job_id, await database.call("withdraw_job", { job_id }, z.string()));
    const files = await removeFiles(job_id, call);
    const [outcome = ""] = await database.call("discard_jobs", { job_ids: [job_id] }, z.array(z.string()));
    assertGone(job_id, outcome);
    call.inBackground("sweeping the outbox", sweepOutbox(call));
    return { status: 200, body: { success: true, job_id, files } };
  },
});

/** @throws CodedError JOB_NOT_SETTLED; "missing" is fine: another call has just deleted it */
function assertGone(job_id: string, outcome: string): void {
  if (outcome !== "discarded" && outcome !== "missing") throw notSettled(job_id, outcome);
}

/** @returns how many there were */
async function removeFiles(job_id: string, { config, database }: CallOfAnybody): Promise<number> {
  const [kept, assets] = await Promise.all([
    database.call("get_job", { job_id }, record.nullable()),
    database.rows(
      {
        table: "ourvidz_assets",
        columns: "bucket",
        where: { column: "job_id", equals: job_id },
        limit: maxAssets,
      },
      assetRow,
    ),
  ]);
  if (kept === null) return 0;
  const buckets = new Set([bucketOf(kept.job), ...assets.map(({ bucket }) => bucket)]);
  const storage = connectStorage(config);
  let files = 0;
  for (const bucket of buckets) files += await storage.removeFolder(bucket, `${kept.job.user_id}/${job_id}`);
  return files;
}

function notSettled(job_id: string, status: string): CodedError {
  const what =
    status === "unreported"
      ? "has ended, and no container has reported that yet: delete it in a minute"
      : `is ${status}: cancel it first (cancel-job), and delete it when it has ended`;
  return new CodedError("JOB_NOT_SETTLED", `Job ${job_id} ${what}.`, { details: { status } });
}
