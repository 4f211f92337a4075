import { z } from "zod";
import { type ErrorCode, errorCodes } from "#contract/errors.ts";

/** Every error of the API has this shape. */
export const errorBody = z
  .object({
    success: z.literal(false),
    /** A sentence that says what is wrong and what to do. */
    error: z.string(),
    code: z.enum(errorCodes),
    details: z.unknown().optional(),
  })
  .meta({ id: "Error" });

export type ErrorBody = z.output<typeof errorBody>;

/** What a route may answer because the queue is elsewhere: the source's own error, passed on as it is. */
export const queueErrors = [
  "QUEUE_UNREACHABLE",
  "QUEUE_OVER_QUOTA",
  "DATABASE_UNREACHABLE",
  "CONFIG_INVALID",
  "DATA_FOLDER_UNUSABLE",
  "DISK_FULL",
] as const satisfies readonly ErrorCode[];
