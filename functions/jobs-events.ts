import { z } from "zod";
import { isSettled } from "#runtime/sources/job-source.ts";
import { queueErrors } from "./errors.ts";
import { eventStreamType } from "./http/event-stream.ts";
import { defineRoute, noContent } from "./http/route.ts";
import { findJob, jobParams } from "./jobs/find-job.ts";
import { followJob } from "./jobs/follow-job.ts";
import { endId, jobEventData, parseEventId } from "./jobs/job-event.ts";

export const jobEvents = defineRoute({
  method: "GET",
  path: "/jobs/:id/events",
  access: "key",
  summary: "A job's states, progress and previews as server-sent events, from the beginning to the final state",
  produces: eventStreamType,
  params: jobParams,
  responses: {
    200: jobEventData,
    /** The reader has the end already. */
    204: noContent,
  },
  headers: { "Last-Event-ID": z.string().describe("The last event that the reader has; what came after it is sent.") },
  errors: ["JOB_NOT_FOUND", "OVERLOADED", "SHUTTING_DOWN", ...queueErrors],
}).handle(async ({ params: { id }, headers }, runtime) => {
  const record = await findJob(runtime.queue, id);
  const lastEventId = headers.get("last-event-id") ?? undefined;
  // An EventSource comes back when a stream ends; 204 is what tells it that there is no more.
  if (isSettled(record.status) && lastEventId === endId(record)) {
    return { response: new Response(null, { status: 204 }) };
  }
  return { events: (signal) => followJob(runtime, id, { after: parseEventId(lastEventId) }, signal) };
});
