import { CodedError, type ErrorReport, toErrorReport } from "#contract/errors.ts";
import { unknownJobType } from "#contract/problems.ts";
import type { RunpodSourceOptions } from "./options.ts";

/** Why a job of this type is never run here; undefined when it may be. */
export function typeRefusal(
  type: string,
  { handlerOf, knownTypes, runsHere }: Pick<RunpodSourceOptions, "handlerOf" | "knownTypes" | "runsHere">,
): ErrorReport | undefined {
  const handler = handlerOf(type);
  if (handler === undefined) return toErrorReport(unknownJobType(type, knownTypes()));
  if (runsHere?.(handler.worker) ?? true) return undefined;
  return toErrorReport(
    new CodedError(
      "UNKNOWN_JOB_TYPE",
      `The job type ${type} belongs to the worker ${handler.worker}, which does not run in this container (WORKERS): submit it to an endpoint whose containers run that worker.`,
    ),
  );
}

/** Of a request whose job has the id of another one that is here: under that id, only the other one may end. */
export function twinRefusal(jobId: string): ErrorReport {
  const message = `Another request with the job id ${jobId} is being run here: give each its own id, or none.`;
  return toErrorReport(new CodedError("IDEMPOTENCY_CONFLICT", message));
}
