import type { Handler } from "#contract/handler.ts";
import { isJobType } from "#contract/job-types.ts";

/*
 * Who calls whom. A handler that waits for its call holds its worker's executor, so that workers, and not only job types, must
 * not call each other in a circle: a job of `wan` that waits for `chat` and a job of `chat` that waits for `wan` would wait
 * for ever. Where there is no circle, whoever waits waits for somebody who runs.
 */
type Caller = Pick<Handler, "type" | "worker" | "produces" | "calls">;

export interface CheckedCalls<Checked> {
  readonly accepted: readonly Checked[];
  /** What is wrong with the calls of the others, by job type: a sentence without the file's name. */
  readonly refused: ReadonlyMap<string, string>;
}

/**
 * Checks one handler after the other: of those that make a circle, the last one is refused.
 *
 * @param isBroken whether there is a file for a job type that cannot be loaded: its caller is in order, and gets CALL_NOT_OFFERED
 *   as it does for one of the project's own job types whose file is not there: who runs pictures alone needs no language model
 */
export function checkCalls<Checked extends Caller>(
  handlers: readonly Checked[],
  isBroken: (type: string) => boolean,
): CheckedCalls<Checked> {
  const known = new Map(handlers.map((handler) => [handler.type, handler]));
  const graph = new WorkerGraph();
  const refused = new Map<string, string>();
  const accepted = handlers.filter((handler) => {
    const called = (handler.calls ?? []).flatMap((type) => known.get(type) ?? []);
    const unknown = handler.calls?.find((type) => !known.has(type) && !isBroken(type) && !isJobType(type));
    const problem =
      unknown === undefined
        ? (called.map((callee) => problemOf(handler, callee, graph)).find((each) => each !== null) ?? null)
        : `there is no handler for ${unknown}`;
    if (problem !== null) refused.set(handler.type, `calls: ${problem}`);
    else for (const callee of called) graph.add(handler, callee);
    return problem === null;
  });
  return { accepted, refused };
}

function problemOf(caller: Caller, callee: Caller, graph: WorkerGraph): string | null {
  if (callee.worker === caller.worker)
    return `${callee.type} belongs to the same worker, ${caller.worker}: use ctx.run, which needs no declaration`;
  if (callee.produces === "image" || callee.produces === "video")
    return `${callee.type} produces ${callee.produces}s, and the files of a call are not kept: use ctx.enqueue`;
  const back = graph.path(callee.worker, caller.worker);
  if (back === null) return null;
  return `${caller.type} calling ${callee.type} closes a circle of workers that wait for each other (${back.join(", ")})`;
}

class WorkerGraph {
  /** By worker: the workers that it calls, with a sentence for each. */
  readonly #edges = new Map<string, Map<string, string>>();

  add(caller: Caller, callee: Caller): void {
    const from = this.#edges.get(caller.worker) ?? new Map<string, string>();
    this.#edges.set(caller.worker, from);
    if (!from.has(callee.worker)) from.set(callee.worker, `${caller.type} calls ${callee.type}`);
  }

  /** The calls that lead from one worker to another; null when none do. */
  path(from: string, to: string): readonly string[] | null {
    if (from === to) return [];
    // There is no circle so far, so that this ends.
    for (const [next, sentence] of this.#edges.get(from) ?? []) {
      const rest = this.path(next, to);
      if (rest !== null) return [sentence, ...rest];
    }
    return null;
  }
}

/** The workers that a job of this type needs in its container: its own, and those that it calls, and those that they call. */
export function workersFor(type: string, handlers: readonly Caller[]): readonly string[] {
  const known = new Map(handlers.map((handler) => [handler.type, handler]));
  const workers = new Set<string>();
  const seen = new Set<string>();
  const visit = (one: string): void => {
    const handler = known.get(one);
    if (handler === undefined || seen.has(one)) return;
    seen.add(one);
    workers.add(handler.worker);
    // By `ctx.run` it may run any handler of its worker, with that one's calls.
    for (const other of handlers)
      if (other.worker === handler.worker) for (const called of other.calls ?? []) visit(called);
  };
  visit(type);
  return [...workers];
}
