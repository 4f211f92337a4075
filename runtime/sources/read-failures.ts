import { CodedError } from "#contract/errors.ts";
import type { JobQueues } from "./job-queues.ts";
import { type FailureGroup, queueName } from "./job-source.ts";

export interface SourceFailureGroup extends FailureGroup {
  readonly source: string;
  readonly queue: string;
}

export interface Failures {
  /** The one in which a job failed last first. */
  readonly groups: readonly SourceFailureGroup[];
  /** Sources that did not answer, in time or at all. */
  readonly unreachable: readonly string[];
}

/** How long a source may keep the answers of the others waiting. */
const limitMs = 5000;

/**
 * The groups of failed jobs of all sources, or of one.
 * @throws what the first source throws when none answers; CodedError INVALID_REQUEST when there is no such source
 */
export async function readFailures(queues: JobQueues, source?: string): Promise<Failures> {
  const named = [...queues.named(source)];
  const answers = await Promise.allSettled(named.map(([, queue]) => inTime(queue.failureGroups())));
  const groups: SourceFailureGroup[] = [];
  const unreachable: string[] = [];
  for (const [index, [name]] of named.entries()) {
    const answer = answers[index];
    if (answer?.status !== "fulfilled") unreachable.push(name);
    else groups.push(...answer.value.map((group) => ({ source: name, queue: queueName(group.worker), ...group })));
  }
  const [first] = answers;
  if (first?.status === "rejected" && unreachable.length === named.length) throw first.reason;
  return { groups: groups.toSorted((one, other) => other.lastAtMs - one.lastAtMs), unreachable };
}

async function inTime<Answer>(answer: Promise<Answer>): Promise<Answer> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const error = new CodedError("QUEUE_UNREACHABLE", "The queue does not answer: try again later.");
  const timer = setTimeout(() => reject(error), limitMs);
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
