import { z } from "zod";

/** Where a page ended, as that page named it; every source names it by a number. */
export const cursor = z.string().regex(/^[1-9]\d{0,15}$/, "must be a cursor that a page returned");

/** Path parameters of the routes under `/jobs/:id`. Any text may be asked for; what is no job's id is not found. */
export const jobParams = z.object({ id: z.string() });

export const queueParams = z.object({ queue: z.string() });

export const workerParams = z.object({ worker: z.string() });
