import { z } from "zod";
import type { ErrorCode } from "#contract/errors.ts";
import { safeId } from "#contract/job.ts";

/** A file that was uploaded, as it is answered. */
export const inputView = z
  .object({
    /** What a job names it by: `input:<sha256>`. */
    input: z.string(),
    sha256: z.string(),
    user_id: z.string(),
    mime_type: z.string(),
    size_bytes: z.number().int(),
    /** Of a picture. */
    width: z.number().int().nullable(),
    height: z.number().int().nullable(),
    /** Where it can be read for a while; null when its storage cannot be asked just now. */
    url: z.string().nullable(),
    created_at: z.string(),
    /** It is kept until then at least, and while a job waits or runs that was handed in here and names it. */
    expires_at: z.string(),
  })
  .meta({ id: "Input" });

export type InputView = z.output<typeof inputView>;

/** The content's SHA-256, or the address that has it. What is neither is not found. */
export const inputParams = z.object({ id: z.string() });

/** Whose file is meant; without it, anybody's. */
export const owner = z.strictObject({ user_id: safeId.optional() });

/** What may be wrong with the files that a job names or has in it. */
export const inputErrors = [
  "INPUT_NOT_FOUND",
  "INPUT_REFUSED",
  "INPUT_TOO_LARGE",
  "INPUT_INVALID",
  "INPUTS_FULL",
  "OVERLOADED",
  "DISK_FULL",
  "BODY_TOO_LARGE",
  "STORAGE_UNREACHABLE",
  "STORAGE_REFUSED",
  "ASSET_REFUSED",
] as const satisfies readonly ErrorCode[];

/** What a store may answer that is not the data folder's own. */
export const storeErrors = [
  "STORAGE_UNREACHABLE",
  "STORAGE_REFUSED",
  "ASSET_REFUSED",
] as const satisfies readonly ErrorCode[];
