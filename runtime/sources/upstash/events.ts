import { z } from "zod";

/*
 * What is published on the channel:
 *
 *   jobs:<origin>:<worker>:<ms>    a job of the worker is due at this time of the server
 *   cancel:<origin>:<job id>       the cancel of a running job was requested
 *   end:<origin>:<job id>          a job that waited was cancelled: its end is to be reported
 *   anything else                  a producer of another make pushed something
 *
 * `origin` is the container that made the change: it has heard of it already.
 */
export type ChangeEvent =
  | { readonly kind: "jobs"; readonly origin?: string; readonly worker?: string; readonly dueAtMs?: number }
  | { readonly kind: "end"; readonly origin: string }
  | { readonly kind: "cancel"; readonly origin: string; readonly jobId: string };

const endEvent = z.tuple([z.literal("end"), z.string(), z.string().min(1)]);
const jobsEvent = z.tuple([z.literal("jobs"), z.string(), z.string(), z.coerce.number().finite()]);
const cancelEvent = z.tuple([z.literal("cancel"), z.string(), z.string().min(1)]);

export function parseEvent(text: string): ChangeEvent {
  const parts = text.split(":");
  const jobs = jobsEvent.safeParse(parts);
  if (jobs.success) {
    const [kind, origin, worker, dueAtMs] = jobs.data;
    return { kind, origin, worker, dueAtMs };
  }
  const cancel = cancelEvent.safeParse(parts);
  if (cancel.success) {
    const [kind, origin, jobId] = cancel.data;
    return { kind, origin, jobId };
  }
  const end = endEvent.safeParse(parts);
  if (end.success) return { kind: "end", origin: end.data[1] };
  return { kind: "jobs" };
}
