import { z } from "zod";
import { deliveryNote } from "#contract/delivery-note.ts";
import { declareRoute } from "./declare.ts";
import { queueErrors } from "./schemas/errors.ts";

export const alarmView = z.object({
  code: z.string(),
  message: z.string(),
  /** What cannot be done; "read" for results that cannot even be read. */
  step: z.enum([...deliveryNote.shape.step.options, "read"]),
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

const unreadableView = z.object({
  /** By which it can be given up: `row-17`. */
  row: z.string(),
  /** Null when the row does not even say that. */
  job_id: z.string().nullable(),
  since: z.iso.datetime(),
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
      /** Of the 100 that have waited longest, those that can be read. */
      rows: z.array(rowView),
      /** The others of them: a newer version has written them, or they are damaged. */
      unreadable: z.array(unreadableView),
    }),
  },
  errors: queueErrors,
});

export type OutboxView = z.output<(typeof listOutbox.responses)[200]>;
