import { z } from "zod";
import { declareRoute, eventStreamType, noContent } from "./declare.ts";
import { queueErrors } from "./schemas/errors.ts";
import { jobEventData } from "./schemas/job-event.ts";
import { jobParams } from "./schemas/parameters.ts";

export const jobEvents = declareRoute({
  method: "GET",
  path: "/jobs/:id/events",
  access: "key",
  summary: "A job's states, progress, stages and previews as server-sent events, from the beginning to the final state",
  produces: eventStreamType,
  params: jobParams,
  responses: {
    200: jobEventData,
    /** The reader has the end already. */
    204: noContent,
  },
  headers: { "Last-Event-ID": z.string().describe("The last event that the reader has; what came after it is sent.") },
  errors: ["JOB_NOT_FOUND", "OVERLOADED", "SHUTTING_DOWN", ...queueErrors],
});
