import { z } from "zod";
import { deliveryNote } from "#contract/delivery-note.ts";
import { declareRoute } from "./declare.ts";
import { queueErrors } from "./schemas/errors.ts";

export const alarmView = z.object({
  code: z.string(),
  message: z.string(),
  step: deliveryNote.shape.step,
  since: z.iso.datetime(),
  /** How many jobs wait for this. */
  jobs: z.number().int(),
  /** It does not pass by itself: a key, an address, a secret or a bucket is wrong. */
  needs_mending: z.boolean(),
});

const rowView = deliveryNote.extend({
  job_id: z.string(),
  type: z.string(),
  source: z.string(),
  attempt: z.number().int(),
  files: z.number().int(),
});

/** GET /outbox: finished jobs whose results have not reached the app yet, and why. */
export const listOutbox = declareRoute({
  method: "GET",
  path: "/outbox",
  access: "key",
  summary: "Finished jobs whose results have not reached the app yet, and why",
  responses: {
    200: z.object({
      /** In this container's data folder. */
      waiting: z.number().int(),
      oldest_seconds: z.number(),
      /** What keeps them, the oldest first; `/health` says "degraded" while there is one. */
      alarms: z.array(alarmView),
      /** The 100 that have waited longest. */
      rows: z.array(rowView),
    }),
  },
  errors: queueErrors,
});

export type OutboxView = z.output<(typeof listOutbox.responses)[200]>;
