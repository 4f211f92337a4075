import { checkJob } from "#contract/check-job.ts";
import { CodedError } from "#contract/errors.ts";
import { jobEnvelope } from "#contract/job.ts";
import { invalidJob, parseWith } from "#contract/problems.ts";
import { withoutReserved } from "#contract/reserved-metadata.ts";
import type { ChildJobRequest } from "#runtime/executor/protocol.ts";
import { brokenHandler, type Registry } from "#runtime/job-types/registry.ts";
import { traceparentOf } from "#runtime/observe/tracing/traceparent.ts";
import type { JobQueues } from "#runtime/sources/job-queues.ts";
import type { Lease } from "#runtime/sources/job-source.ts";

/**
 * Puts a child job beside its parent, in the same source.
 * @throws CodedError UNKNOWN_JOB_TYPE, NOT_READY (its handler's file is broken here), INVALID_JOB with every bad field
 */
export async function enqueueChild(
  { queues, registry, source }: { queues: JobQueues; registry: Registry; source: string },
  parent: Lease,
  child: ChildJobRequest,
): Promise<string> {
  const handler = registry.get(child.type);
  const broken = registry.problems.find(({ type }) => type === child.type);
  if (handler === undefined && broken !== undefined) throw brokenHandler(child.type);
  if (handler === undefined)
    throw new CodedError(
      "UNKNOWN_JOB_TYPE",
      `The child job's type "${child.type}" is not known here; known: ${registry.types.join(", ")}.`,
    );
  const traceparent = traceparentOf(parent.job.metadata);
  const envelope = parseWith(jobEnvelope, {
    ...child,
    user_id: parent.job.user_id,
    priority: parent.job.priority,
    metadata: {
      ...withoutReserved(child.metadata ?? {}),
      parent_job_id: parent.jobId,
      ...(traceparent === undefined ? {} : { traceparent }),
    },
  });
  if (!envelope.ok) throw invalidJob(envelope.problems, "The child job");
  const job = envelope.value;
  const checked = checkJob(handler, job);
  if (!checked.ok) throw invalidJob(checked.problems, "The child job");
  return (await queues.enqueue(job, { worker: handler.worker }, { beside: source })).jobId;
}
