import type { UndecodableView } from "#functions/api/undecodable-list.ts";
import { viewUndecodable } from "#functions/queues/undecodable-view.ts";
import { discardUndecodable, readUndecodable } from "#runtime/sources/undecodable.ts";
import { exitCodes, usageError } from "../errors.ts";
import { requireQueue } from "../filter-check.ts";
import { Interruption } from "../interruption.ts";
import { age } from "../job/view.ts";
import { note, oneLine, printResult } from "../output.ts";
import { type OpenQueue, withExistingQueue } from "../queue.ts";
import { remoteClient } from "../remote/remote-client.ts";
import { readSettings } from "../settings.ts";
import { table } from "../table.ts";
import { type FilterOptions, queueOf, workerOf } from "./filter-options.ts";

const maxShown = 100;

interface DiscardOptions extends FilterOptions {
  readonly files?: boolean;
}

/** `ourvidz failures --undecodable`: elements of queues in which there is no job. */
export async function listElements(options: FilterOptions): Promise<number> {
  const shown = await readShown(options);
  const nowMs = Date.now();
  const text = table(shown.elements, [
    { title: "QUEUE", value: ({ queue }: Element) => queue },
    { title: "ELEMENT", value: ({ id }) => id },
    { title: "AGE", value: ({ at }) => age(Date.parse(at), nowMs) },
    { title: "WHY", value: ({ reason }) => oneLine(reason) },
    { title: "BEGINS", value: ({ element }) => oneLine(element).slice(0, 60) },
  ]);
  printResult(options, shown, text);
  if (!options.json && shown.elements.length === 0) note("Every element of the queues holds a job.");
  if (!options.json && shown.more) note(`Only the newest ${shown.elements.length} are shown.`);
  if (!options.json && shown.unreachable.length > 0) note(`No answer from: ${shown.unreachable.join(", ")}.`);
  return exitCodes.completed;
}

type Element = UndecodableView["elements"][number];

async function readShown(options: FilterOptions): Promise<UndecodableView> {
  const queue = queueOf(options);
  const client = await remoteClient(options);
  if (client !== null) return client.undecodable({ queue, limit: maxShown });
  const config = await readSettings(options, { serves: false });
  const read = async (open: OpenQueue): Promise<UndecodableView> => {
    const shown = viewUndecodable(await readUndecodable(open.sources, queue && workerOf(queue)), maxShown);
    // Elements may be left of a queue that nothing else knows any more.
    if (shown.elements.length === 0) await requireQueue(options.queue, open, config.handlersFolder);
    return shown;
  };
  return withExistingQueue(config, options, read, { elements: [], more: false, unreachable: [] });
}

/** `ourvidz discard --undecodable`: one element of a queue, or all of them. */
export async function discardElements(id: string | undefined, options: DiscardOptions): Promise<number> {
  const queue = queueOf(options);
  const { type, user, code, status, olderThan, all, dryRun, files } = options;
  if ([type, user, code, status, olderThan, all, dryRun, files].some((value) => value !== undefined))
    throw usageError(
      "Undecodable elements are no jobs: of the options --undecodable goes with --queue and --yes alone.",
    );
  if (queue === undefined) throw usageError("Name the queue of the undecodable elements: --queue sdxl_queue.");
  if (id === undefined && options.yes !== true)
    throw usageError(`This discards all undecodable elements of ${queue}: add --yes, or name one of them.`);
  const interruption = new Interruption();
  const discarded = await discardThere(queue, id, options, interruption.signal);
  interruption.close();
  printResult(options, { queue, discarded }, `${discarded === 1 ? "1 element" : `${discarded} elements`} discarded`);
  return interruption.exitCode ?? exitCodes.completed;
}

async function discardThere(queue: string, id: string | undefined, options: FilterOptions, signal: AbortSignal) {
  const client = await remoteClient(options);
  if (client === null) {
    const config = await readSettings(options, { serves: false });
    return withExistingQueue(config, options, async (open) => {
      const discarded = await discardUndecodable(open.sources, { worker: workerOf(queue), id, signal });
      if (discarded === 0) await requireQueue(options.queue, open, config.handlersFolder);
      return discarded;
    });
  }
  for (let discarded = 0; ; ) {
    const part = await client.discardUndecodable(queue, id === undefined ? { all: true } : { id });
    discarded += part.discarded;
    if (!part.more || signal.aborted) return discarded;
  }
}
