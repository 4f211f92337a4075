import { z } from "zod";
import { deliveryNote } from "#contract/delivery-note.ts";
import { jobStatuses } from "#contract/job-states.ts";
import { errorView, jobView } from "./job-view.ts";

/* The events of one job as they are sent. Their names are `state`, `progress`, `text`, `stage`, `preview`, `place` and `delivery`. */

const stateEvent = z.object({
  job_id: z.string(),
  status: z.enum(jobStatuses),
  attempt: z.number().int(),
  at: z.iso.datetime(),
  /** Why the attempt before did not finish, or why the job failed. */
  error: errorView.nullable(),
  /** When a job goes back to its queue to be tried again. */
  retry_in_seconds: z.number().nullable(),
  /** With the final state only. */
  job: jobView.optional(),
});

export const progressEvent = z.object({
  /** 0 to 1. */
  progress: z.number(),
  /** Null when the job runs in another process, which reports the progress alone. */
  step: z.number().nullable(),
  total: z.number().nullable(),
});

const stageEvent = z.object({
  /** `load`, `encode`, `denoise` and the like. */
  name: z.string(),
  seconds: z.number(),
});

const textEvent = z.object({
  text: z.string().describe("the text so far; of a long one its first 32,000 characters: the job's end has all of it"),
});

const previewEvent = z.object({ mime_type: z.string(), url: z.string().describe("a data: URL") });

/** The job has been worked off, and this keeps its result from the app. */
const deliveryEvent = deliveryNote;

/** A waiting job's place has changed: 1 goes next. */
export const placeEvent = z.object({ queue_position: z.number().int() });

export const jobEventData = z.union([
  stateEvent,
  progressEvent,
  textEvent,
  stageEvent,
  previewEvent,
  placeEvent,
  deliveryEvent,
]);

/** The data of an event, by its name. */
export const eventSchemas = {
  state: stateEvent,
  progress: progressEvent,
  text: textEvent,
  stage: stageEvent,
  preview: previewEvent,
  place: placeEvent,
  delivery: deliveryEvent,
} as const;

export type StateEvent = z.output<typeof stateEvent>;
