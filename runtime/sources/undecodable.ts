import { CodedError } from "#contract/errors.ts";
import { queueName } from "./job-source.ts";
import type { ConnectedSource, DeadElement } from "./source-definition.ts";

/* Elements of queues in which there is no job: looked at, and forgotten, over all sources that may hold such. */

type Sources = ReadonlyMap<string, Pick<ConnectedSource, "undecodable">>;

export interface SourceElement extends DeadElement {
  readonly source: string;
  readonly queue: string;
}

export interface Undecodable {
  /** The newest first. */
  readonly elements: readonly SourceElement[];
  /** Sources that did not answer. */
  readonly unreachable: readonly string[];
}

/** How many of one source are read at most: what is shown is of the newest of them. */
export const maxElementsRead = 100;

/** @throws what the first source throws when none answers */
export async function readUndecodable(sources: Sources, worker?: string): Promise<Undecodable> {
  const holders = [...sources].flatMap(([name, { undecodable }]) => (undecodable ? [{ name, undecodable }] : []));
  const answers = await Promise.allSettled(holders.map(({ undecodable }) => undecodable.list(maxElementsRead)));
  const elements: SourceElement[] = [];
  const unreachable: string[] = [];
  for (const [place, { name }] of holders.entries()) {
    const answer = answers[place];
    if (answer?.status !== "fulfilled") unreachable.push(name);
    else elements.push(...answer.value.map((each) => ({ ...each, source: name, queue: queueName(each.worker) })));
  }
  const [first] = answers;
  if (first?.status === "rejected" && unreachable.length === holders.length) throw first.reason;
  return {
    elements: elements
      .filter((element) => worker === undefined || element.worker === worker)
      .toSorted((one, other) => other.atMs - one.atMs),
    unreachable,
  };
}

export interface DiscardElements {
  readonly worker: string;
  /** Only this one. */
  readonly id?: string | undefined;
  /** Nothing more is begun after it aborts. */
  readonly signal: AbortSignal;
}

/**
 * Forgets the elements of one worker, or one of them; answers how many. A source that does not answer keeps none of the
 * others from it. An abort before the one that is named was met answers 0.
 * @throws CodedError NOT_FOUND when the one that is named is not there
 * @throws what the first source threw that did not answer, unless the one that is named was met in another
 */
export async function discardUndecodable(sources: Sources, { worker, id, signal }: DiscardElements): Promise<number> {
  let discarded = 0;
  const failures: unknown[] = [];
  for (const { undecodable } of sources.values()) {
    if (signal.aborted) break;
    try {
      discarded += (await undecodable?.discard(worker, id, signal)) ?? 0;
    } catch (error) {
      failures.push(error);
    }
  }
  if (id !== undefined && discarded > 0) return discarded;
  if (failures.length > 0) throw failures[0];
  if (id !== undefined && !signal.aborted)
    throw new CodedError("NOT_FOUND", `${queueName(worker)} has no undecodable element ${id.slice(0, 100)}.`);
  return discarded;
}
