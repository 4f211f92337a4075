import { jobTypes } from "#contract/job-types.ts";
import { shortened } from "#contract/problems.ts";
import type { Runtime } from "#runtime/container/runtime.ts";
import { queueName } from "#runtime/sources/job-source.ts";
import { HttpError } from "../errors.ts";
import { readQueues } from "./read-queues.ts";

/**
 * The worker that a queue belongs to: one of this container's job types, or any other whose jobs a source has.
 * @throws HttpError NOT_FOUND naming the queues
 */
export async function workerOfQueue(runtime: Runtime, queue: string): Promise<string> {
  const { registry, executors } = runtime;
  const own = [...new Set([...registry.workers, ...executors.keys()])];
  const worker = own.find((name) => queueName(name) === queue);
  if (worker !== undefined) return worker;
  const others = (await readQueues(runtime)).flatMap(({ stats }) => (stats ?? []).map((each) => each.queue));
  if (others.includes(queue)) return queue.replace(/_queue$/, "");
  const queues = [...new Set([...own.map(queueName), ...others])].toSorted();
  throw new HttpError("NOT_FOUND", `There is no queue ${shortened(queue)}; there are: ${queues.join(", ")}.`, {
    details: { queues },
  });
}

const contractWorkers = new Set<string>(Object.values(jobTypes).map(({ worker }) => worker));

/** The same for a queue that may be empty, and run elsewhere: those of the contract's job types are known too. */
export async function workerOfAnyQueue(runtime: Runtime, queue: string): Promise<string> {
  const worker = [...contractWorkers].find((name) => queueName(name) === queue);
  return worker ?? (await workerOfQueue(runtime, queue));
}
