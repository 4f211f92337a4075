/** What the line has to know of a call. */
export interface InLine {
  readonly userId: string;
  /** A job waits for it, and holds an executor meanwhile. */
  readonly isOfJob: boolean;
}

/**
 * The calls that wait for one worker's executor. Calls of jobs go first, since each holds another executor; between two of them
 * goes one of those over HTTP, so that neither kind starves. Within a kind users take turns, and a user's calls keep their order.
 *
 * Calls over HTTP are bounded: when the line is full, a user with fewer calls in it displaces the newest one of the user with
 * the most, and everybody else is refused. Calls of jobs are bounded by what an attempt may have open.
 */
export class CallLine<Call extends InLine> {
  readonly #max: number;
  readonly #ofJobs = new UserTurns<Call>();
  readonly #overHttp = new UserTurns<Call>();
  #lastWasOfJob = false;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#ofJobs.size + this.#overHttp.size;
  }

  /** Returns the call for which there is no place: null, an older one of another user, or this one. */
  add(call: Call): Call | null {
    if (call.isOfJob || this.#overHttp.size < this.#max) {
      this.#turnsOf(call).add(call);
      return null;
    }
    const displaced = this.#overHttp.newestOfMost();
    const isFair =
      displaced !== undefined && this.#overHttp.countOf(displaced.userId) > this.#overHttp.countOf(call.userId) + 1;
    if (!isFair) return call;
    this.#overHttp.remove(displaced);
    this.#overHttp.add(call);
    return displaced;
  }

  /** Takes the one whose turn it is out of the line. */
  next(): Call | undefined {
    const isForJob = this.#ofJobs.size > 0 && (!this.#lastWasOfJob || this.#overHttp.size === 0);
    this.#lastWasOfJob = isForJob;
    return (isForJob ? this.#ofJobs : this.#overHttp).next();
  }

  /** Does nothing for a call that is not in the line. */
  remove(call: Call): void {
    this.#turnsOf(call).remove(call);
  }

  all(): readonly Call[] {
    return [...this.#ofJobs.all(), ...this.#overHttp.all()];
  }

  #turnsOf({ isOfJob }: InLine): UserTurns<Call> {
    return isOfJob ? this.#ofJobs : this.#overHttp;
  }
}

/** Users in turn: who has had one goes to the end. */
class UserTurns<Call extends InLine> {
  readonly #users = new Map<string, Call[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  countOf(userId: string): number {
    return this.#users.get(userId)?.length ?? 0;
  }

  add(call: Call): void {
    const calls = this.#users.get(call.userId);
    if (calls === undefined) this.#users.set(call.userId, [call]);
    else calls.push(call);
    this.#size++;
  }

  next(): Call | undefined {
    const [first] = this.#users;
    if (first === undefined) return undefined;
    const [userId, calls] = first;
    const call = calls.shift();
    this.#size--;
    this.#users.delete(userId);
    if (calls.length > 0) this.#users.set(userId, calls);
    return call;
  }

  remove(call: Call): void {
    const calls = this.#users.get(call.userId) ?? [];
    const index = calls.indexOf(call);
    if (index < 0) return;
    calls.splice(index, 1);
    this.#size--;
    if (calls.length === 0) this.#users.delete(call.userId);
  }

  newestOfMost(): Call | undefined {
    let most: readonly Call[] = [];
    for (const calls of this.#users.values()) if (calls.length > most.length) most = calls;
    return most.at(-1);
  }

  all(): readonly Call[] {
    return [...this.#users.values()].flat();
  }
}
