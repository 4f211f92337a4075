import { InvalidArgumentError } from "commander";
import { errorCodes } from "#contract/errors.ts";
import { safeId } from "#contract/job.ts";
import { didYouMean } from "./suggest.ts";

/* Values of the options that narrow down which jobs are meant: what no job can have is refused. */

export function userOption(text: string): string {
  const parsed = safeId.safeParse(text);
  if (parsed.success) return text;
  throw new InvalidArgumentError(`It ${parsed.error.issues[0]?.message ?? "is no user's id"}.`);
}

export function textOption(text: string): string {
  if (text.trim() === "") throw new InvalidArgumentError("It must not be empty.");
  return text;
}

/** Newer containers on the same queue may have codes that this one does not know. */
export function codeOption(text: string): string {
  if (/^[A-Z][A-Z0-9_]{0,63}$/.test(text)) return text;
  const meant = didYouMean(text.toUpperCase(), errorCodes);
  throw new InvalidArgumentError(
    `It must be the code of an error, such as INVALID_JOB, as "ourvidz failures" shows them.${meant === "" ? "" : ` ${meant}`}`,
  );
}
