import type { FieldProblem, Job } from "./job.ts";
import { shortened } from "./problems.ts";
import { isGiven, isJsonObject } from "./synonyms.ts";

/*
 * `metadata.runpod` is what an endpoint (`/v2/<endpoint>/run`) keeps of a request with its job, the address of the client's
 * webhook among it, to which containers send the job's end. So a container's `/v2` and the emulator alone write it, after these
 * checks: a producer who could would have containers call any address.
 */
const rule = "must be left out: containers write it themselves, for requests at /v2/<endpoint>/run";

/** The problem, if a producer's job has it. null and absent are "not given". */
export function reservedProblems(job: unknown): FieldProblem[] {
  const value = isJsonObject(job) && isJsonObject(job.metadata) ? job.metadata.runpod : undefined;
  return isGiven(value) ? [{ field: "metadata.runpod", value: shortened(value), message: rule }] : [];
}

/** The metadata without it: what of one job may go on to another. */
export function withoutReserved({ runpod, ...metadata }: Job["metadata"]): Job["metadata"] {
  return metadata;
}
