import { z } from "zod";
import { enqueueJob, type JobToEnqueue } from "../enqueue.ts";
import { toErrorReport } from "../errors.ts";
import { connectQueue } from "./connect-queue.ts";
import type { CallOfAnybody } from "./edge-function.ts";

/*
 * From the database to Redis. A job's row and its row of the outbox are written in one transaction; the element is
 * pushed after it, and then the outbox forgets it. Whatever dies in between, the row is still there and is pushed again
 * by the next call of a function that sweeps. A push that is made twice makes one job: the queue knows its id.
 */
export interface EdgeOutboxRow {
  readonly job_id: string;
  readonly queue: string;
  readonly element: JobToEnqueue;
}

/** A new row belongs to the call that wrote it for this long. */
const ownSeconds = 10;
const rowsAtOnce = 10;
/** After an outage many wait: one call pushes as many as its processor time allows, and leaves the others. */
const maxRounds = 5;
const pushLimits = { tries: 2, timeoutMs: 4_000 };

const element = z.looseObject({ type: z.string(), id: z.string() });
const dueRows = z.array(z.object({ job_id: z.string(), queue: z.string(), element }));

type Call = Pick<CallOfAnybody, "config" | "database" | "log">;

/**
 * Pushes one element to its queue and lets the outbox forget it. What fails is logged and stays in the outbox.
 *
 * @returns whether it was pushed
 */
export async function pushFromOutbox({ config, database, log }: Call, row: EdgeOutboxRow): Promise<boolean> {
  const { job_id, queue } = row;
  if (config.queue === null) return false;
  try {
    const worker = queue.replace(/_queue$/, "");
    const { prefix, ...address } = config.queue;
    const { tries, timeoutMs } = pushLimits;
    const redis = connectQueue({ ...address, timeoutMs });
    const failure = await enqueueJob(redis, row.element, { prefix, tries, worker }).then(() => null, toErrorReport);
    if (failure === null) {
      await database.call("queue_outbox_done", { job_ids: [job_id] }, z.number());
      return true;
    }
    log.warn({ job_id, code: failure.code, error: failure.message }, "a job stays in the outbox");
    await database.call("queue_outbox_failed", { job_ids: [job_id], error: failure.message }, z.number());
  } catch (error) {
    log.warn({ job_id, error: toErrorReport(error).message }, "a push could not be recorded in the outbox");
  }
  return false;
}

/** Pushes elements that an earlier call has left, up to a limit. Returns how many. */
export async function sweepOutbox(call: Call): Promise<number> {
  if (call.config.queue === null) return 0;
  const args = { max_rows: rowsAtOnce, older_than_seconds: ownSeconds };
  let pushed = 0;
  for (let round = 0; round < maxRounds; round += 1) {
    const rows = await call.database.call("queue_outbox_due", args, dueRows);
    const before = pushed;
    for (const row of rows) {
      // Where one cannot be pushed the others cannot either; they are due again later.
      if (!(await pushFromOutbox(call, row))) break;
      pushed += 1;
    }
    if (pushed - before < rowsAtOnce) break;
  }
  if (pushed > 0) call.log.info({ pushed }, "pushed jobs that an earlier call had left");
  return pushed;
}
