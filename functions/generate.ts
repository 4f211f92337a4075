import { CodedError, isErrorCode } from "#contract/errors.ts";
import type { Runtime } from "#runtime/container/runtime.ts";
import { isSettled } from "#runtime/sources/job-source.ts";
import { generate, type NotYetGenerated } from "./api/generate.ts";
import type { JobView } from "./api/schemas/job-view.ts";
import type { Accepted, Submission } from "./api/schemas/submission.ts";
import { HttpError } from "./errors.ts";
import { parsePrefer } from "./http/prefer.ts";
import { addressAt } from "./http/request-base.ts";
import { defineRoute, type RouteRequest } from "./http/route.ts";
import { acceptJob } from "./jobs/accept.ts";
import { findJob } from "./jobs/find-job.ts";
import { followJob } from "./jobs/follow-job.ts";
import { respondWithFiles } from "./jobs/inline-files.ts";
import { viewJob, waitingReasonOf } from "./jobs/job-view.ts";
import { parseSubmission } from "./jobs/submission.ts";
import { waitingRequests } from "./jobs/waiting-requests.ts";

/** How long an answer is waited for when the client does not say, and at the most. */
const waits = { usualSeconds: 300, maxSeconds: 600 };
/** The record is read this often for a job that runs in another container. */
const pollMs = 2000;

export const generateRoute = defineRoute(generate, {
  parseBody: (input, { registry }) => parseSubmission(input, registry),
}).handle(async (request, runtime) => {
  const { isAsync, waitSeconds } = parsePrefer(request.headers.get("prefer"));
  // Taken before the job is made: a job that nobody can wait for is not begun.
  const place = isAsync ? null : request.streams.hold();
  try {
    const answer = await acceptJob(request, runtime);
    const limitMs = Math.min(waitSeconds ?? waits.usualSeconds, waits.maxSeconds) * 1000;
    const job = place === null ? null : await untilSettled(request, runtime, answer, place.signal, limitMs);
    if (job === null) return notYet(answer, runtime);
    const done = completed(job);
    const { job_id, ignored, ignored_more, did_you_mean } = answer;
    const more = {
      ignored,
      ...(ignored_more === undefined ? {} : { ignored_more }),
      ...(did_you_mean === undefined ? {} : { did_you_mean }),
    };
    if (request.query.inline === undefined)
      return { status: 200, headers: { Location: `/jobs/${job_id}` }, body: { ...done, ...more } };
    const headers = { Location: addressAt(request.base, `/jobs/${job_id}`) };
    return { response: await respondWithFiles({ job: done, headers, more }, runtime, request.signal) };
  } finally {
    place?.abort();
  }
});

type Waiting = Pick<RouteRequest<unknown, unknown, Submission>, "signal" | "headers" | "body" | "base">;

/** The job at its end; null when the wait is over before. */
async function untilSettled(
  request: Waiting,
  runtime: Runtime,
  { job_id: id, created }: Accepted,
  closing: AbortSignal,
  limitMs: number,
): Promise<JobView | null> {
  const signal = AbortSignal.any([request.signal, closing, AbortSignal.timeout(limitMs)]);
  const leave = waitingRequests(runtime.queue).join(id);
  let isLast = false;
  try {
    for await (const _event of followJob(runtime, id, { after: null, pollMs }, signal)) {
      // What happens on the way is not reported; the end is read from the record.
    }
  } finally {
    isLast = leave();
  }
  const record = await findJob(runtime.queue, id);
  if (isSettled(record.status)) return viewJob(record, runtime, request.base);
  if (request.signal.aborted && created && isLast && !isNamed(request)) await cancel(runtime, id);
  return null;
}

/** Whoever has named the job can ask for it again, by the same request: a lost connection says nothing. */
function isNamed({ headers, body }: Waiting): boolean {
  return body.id !== undefined || body.idempotency_key !== undefined || headers.has("idempotency-key");
}

async function cancel({ queue }: Runtime, id: string): Promise<void> {
  await queue.cancel(id).catch((error: unknown) => {
    // It ended at the last moment.
    if (!(error instanceof CodedError) || error.code !== "JOB_ALREADY_SETTLED") throw error;
  });
}

async function notYet(answer: Accepted, { queue }: Runtime) {
  const record = await queue.get(answer.job_id);
  const body: NotYetGenerated = {
    ...answer,
    status: record?.status ?? answer.status,
    waiting_for: record?.waitingFor ?? null,
    waiting_reason: record === null ? null : waitingReasonOf(record),
  };
  return { status: 202, headers: { Location: `/jobs/${answer.job_id}` }, body } as const;
}

/** @throws HttpError with the job's own error when it did not complete */
function completed(job: JobView): JobView {
  if (job.status === "completed") return job;
  if (job.error === null)
    throw new HttpError("CANCELLED", "The job was cancelled.", { details: { job_id: job.job_id } });
  const { code, message, details } = job.error;
  throw new HttpError(isErrorCode(code) ? code : "HANDLER_FAILED", message, {
    details: { job_id: job.job_id, error: details },
  });
}
