import { exitCodes, usageError } from "../errors.ts";
import { requireQueue } from "../filter-check.ts";
import { note, printResult } from "../output.ts";
import { type QueueChoice, withExistingQueue } from "../queue.ts";
import { remoteClient } from "../remote/remote-client.ts";
import { type GlobalOptions, readSettings } from "../settings.ts";

/** The body of `ourvidz pause` and `ourvidz resume`. @throws CodedError INVALID_REQUEST for what is no queue's name, NOT_FOUND for that of no queue */
export async function pauseQueue(
  queue: string,
  isPaused: boolean,
  options: GlobalOptions & QueueChoice,
): Promise<number> {
  const [, worker] = /^([a-z0-9][a-z0-9_]{0,63})_queue$/.exec(queue) ?? [];
  if (worker === undefined)
    throw usageError(`"${queue}" is no queue: name it as ourvidz queues does, such as sdxl_queue.`);
  const client = await remoteClient(options);
  const { unreachable } =
    client === null
      ? await changeHere(queue, worker, isPaused, options)
      : await (isPaused ? client.pauseQueue(queue) : client.resumeQueue(queue));
  const done = isPaused ? `${queue} is paused: no container takes its jobs` : `${queue} goes on`;
  printResult(options, { queue, paused: isPaused, unreachable }, done);
  for (const source of unreachable) note(`${source} does not answer: there it is as it was.`);
  return exitCodes.completed;
}

async function changeHere(name: string, worker: string, isPaused: boolean, options: GlobalOptions & QueueChoice) {
  const config = await readSettings(options, { serves: false });
  return withExistingQueue(config, options, async (open) => {
    await requireQueue(name, open, config.handlersFolder);
    return open.queue.setPaused(worker, isPaused);
  });
}
