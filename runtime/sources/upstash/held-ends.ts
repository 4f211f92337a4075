import type { UnreportedEnd } from "../job-source.ts";

type EndKey = Pick<UnreportedEnd, "jobId" | "run">;

/**
 * Ends that a take answered here and that are not reported yet, with the ticket of the take, which names them in the
 * timetable. One that the same take answers again, since its answer seemed lost, is not handed out twice.
 */
export class HeldEnds {
  readonly #tickets = new Map<string, string>();

  /** False when this very claim was handed out before. */
  hold(end: EndKey, ticket: string): boolean {
    const key = keyOf(end);
    if (this.#tickets.get(key) === ticket) return false;
    this.#tickets.set(key, ticket);
    return true;
  }

  letGo(end: EndKey): void {
    this.#tickets.delete(keyOf(end));
  }

  /** The end's names in the timetable: that of the claim, and that of an end which nobody has claimed. */
  members(end: EndKey): string[] {
    const name = `:end:${keyOf(end)}`;
    const ticket = this.#tickets.get(keyOf(end));
    return ticket === undefined ? [name] : [name, `${name}:${ticket}`];
  }
}

function keyOf({ jobId, run }: EndKey): string {
  return `${jobId}:${run}`;
}
