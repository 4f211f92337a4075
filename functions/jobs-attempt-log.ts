import { findAttemptLog } from "#runtime/attempt-logs/find-attempt-log.ts";
import { getAttemptLog } from "./api/jobs-attempt-log.ts";
import { defineRoute } from "./http/route.ts";
import { findJob } from "./jobs/find-job.ts";

export const attemptLogRoute = defineRoute(getAttemptLog).handle(async ({ params }, runtime) => {
  const record = await findJob(runtime.queue, params.id);
  const { id } = record.job;
  const read = async (attempt: number) =>
    (await runtime.attemptLogs.read(id, attempt)) ?? (await runtime.queue.readLog(id, attempt));
  return {
    status: 200,
    body: await findAttemptLog(record, params.attempt, { read, workerId: runtime.config.workerId }),
  };
});
