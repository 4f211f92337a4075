import { checkJob } from "#contract/check-job.ts";
import type { Handler } from "#contract/handler.ts";
import type { FieldProblem, Job } from "#contract/job.ts";
import { currentJobType } from "#contract/job-types.ts";
import { invalidJob, parseWith, unknownJobType } from "#contract/problems.ts";
import { reservedProblems } from "#contract/reserved-metadata.ts";
import { isJsonObject } from "#contract/synonyms.ts";
import { brokenHandler, type Registry } from "#runtime/job-types/registry.ts";
import { type Submission, submission } from "../api/schemas/submission.ts";

/**
 * Reads a submission, and checks its job as the handler of its type will: what is wrong is reported now, all of it, and not
 * by a job that fails later.
 * @param inTheirWords the problem as whoever has handed it in knows it, where that was in another form
 * @throws CodedError INVALID_JOB, UNKNOWN_JOB_TYPE, NOT_READY (its handler's file is broken here)
 */
export function parseSubmission(
  input: unknown,
  registry: Registry,
  inTheirWords = (problem: FieldProblem) => problem,
): Submission {
  const given =
    isJsonObject(input) && typeof input.type === "string" ? { ...input, type: currentJobType(input.type) } : input;
  const handler = handlerFor(given, registry);
  const parsed = parseWith(submission, given);
  const problems = [
    ...(handler && isJsonObject(given) ? problemsFor(handler, parsed.ok ? parsed.value : given) : []),
    ...(parsed.ok ? [] : parsed.problems),
    ...reservedProblems(given),
  ];
  if (!parsed.ok || problems.length > 0) throw invalidJob(onePerField(problems).map(inTheirWords));
  return parsed.value;
}

/** The job to enqueue: as it was given, without what says how to queue it. */
export function jobOf({ delay_seconds, idempotency_key, ...fields }: Submission, id: string): Job {
  return { ...fields, id };
}

function handlerFor(given: unknown, registry: Registry): Handler | undefined {
  if (!isJsonObject(given) || typeof given.type !== "string") return undefined;
  const handler = registry.get(given.type);
  const broken = registry.problems.find(({ type }) => type === given.type);
  if (handler === undefined && broken !== undefined) throw brokenHandler(given.type);
  if (handler === undefined) throw unknownJobType(given.type, registry.types);
  return handler;
}

/** The handler sees jobs with what the envelope makes of missing fields, and with an id, which is made later. */
function problemsFor(handler: Handler, given: Record<string, unknown>): readonly FieldProblem[] {
  const { delay_seconds, idempotency_key, ...job } = given;
  const { id, config, metadata } = job;
  const filled = { ...job, id: id ?? "unnamed", config: config ?? {}, metadata: metadata ?? {} };
  const parsed = checkJob(handler, filled);
  return parsed.ok ? [] : parsed.problems;
}

/** The handler's word on a field comes first: it says more than the envelope's. */
function onePerField(problems: readonly FieldProblem[]): FieldProblem[] {
  return [...Map.groupBy(problems, ({ field }) => field).values()].flatMap((same) => same.slice(0, 1));
}
