import { giveUpReport } from "./api/outbox-give-up.ts";
import { defineRoute } from "./http/route.ts";
import { giveUpReports } from "./outbox/give-up.ts";
import { requireRunning } from "./worker/find-executor.ts";

export const giveUpReportRoute = defineRoute(giveUpReport).handle(async ({ body: { job_id }, audit }, runtime) => {
  requireRunning(runtime);
  const given_up = await giveUpReports(runtime.outbox, job_id);
  audit("report given up", { job_id, given_up });
  return { status: 202, body: { job_id, given_up } };
});
