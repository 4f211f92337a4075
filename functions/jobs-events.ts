import { isSettled } from "#runtime/sources/job-source.ts";
import { jobEvents } from "./api/jobs-events.ts";
import { defineRoute } from "./http/route.ts";
import { findJob } from "./jobs/find-job.ts";
import { followInBatches } from "./jobs/follow-job.ts";
import { endId, parseEventId } from "./jobs/job-event.ts";

export const jobEventsRoute = defineRoute(jobEvents).handle(async ({ params: { id }, headers, base }, runtime) => {
  const record = await findJob(runtime.queue, id);
  const lastEventId = headers.get("last-event-id") ?? undefined;
  // An EventSource comes back when a stream ends; 204 makes it stop.
  if (isSettled(record.status) && lastEventId === endId(record)) {
    return { response: new Response(null, { status: 204 }) };
  }
  return { events: (signal) => followInBatches(runtime, id, { after: parseEventId(lastEventId), base }, signal) };
});
