import type { OurvidzClient } from "#client/client.ts";
import { CodedError, errorCodes } from "#contract/errors.ts";
import type { Config } from "#runtime/container/config.ts";
import { loadHandlers } from "#runtime/job-types/registry.ts";
import { queueName } from "#runtime/sources/job-source.ts";
import { workerOf } from "./many/filter-options.ts";
import type { OpenQueue } from "./queue.ts";
import { didYouMean } from "./suggest.ts";

/* Filters against what there is: a mistyped name must not look like a queue without jobs. */

/**
 * A queue that nobody knows is mistyped, and not an empty one.
 *
 * @param written as the command line has it, with or without its ending; undefined for all of them
 * @throws CodedError NOT_FOUND naming the queues
 */
export async function requireQueue(
  written: string | undefined,
  { queue: { byName } }: Pick<OpenQueue, "queue">,
  handlersFolder: string,
): Promise<void> {
  if (written === undefined) return;
  const queue = queueName(workerOf(written));
  const answers = await Promise.allSettled([...byName.values()].map((source) => source.stats()));
  const used = answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : [])).map((one) => one.queue);
  if (used.includes(queue)) return;
  const { workers } = await loadHandlers(handlersFolder);
  const known = [...new Set([...workers.map(queueName), ...used])].toSorted();
  if (known.includes(queue)) return;
  // It may be of the one that does not answer.
  if (answers.some(({ status }) => status === "rejected")) return;
  const message = `There is no queue "${written}"; there are: ${known.join(", ")}. ${didYouMean(queue, known)}`.trim();
  throw new CodedError("NOT_FOUND", message, { details: { queues: known } });
}

export async function localTypes({ handlersFolder }: Pick<Config, "handlersFolder">): Promise<readonly string[]> {
  return (await loadHandlers(handlersFolder)).types;
}

export async function remoteTypes(client: OurvidzClient): Promise<readonly string[]> {
  return (await client.info()).job_types.map(({ type }) => type);
}

/** What may be mistyped in a filter that has matched nothing, a sentence each. */
export async function filterHints(
  { type, code }: { readonly type?: string; readonly code?: string },
  knownTypes: () => Promise<readonly string[]>,
): Promise<string[]> {
  const hints: string[] = [];
  if (type !== undefined) {
    const types = await knownTypes();
    if (!types.includes(type)) hints.push(`There is no job type "${type}" here. ${didYouMean(type, types)}`.trim());
  }
  const codes: readonly string[] = errorCodes;
  if (code !== undefined && !codes.includes(code))
    hints.push(`There is no error code ${code} here. ${didYouMean(code, codes)}`.trim());
  return hints;
}
