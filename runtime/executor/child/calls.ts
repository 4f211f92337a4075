import { setImmediate as nextTurn } from "node:timers/promises";
import { CodedError } from "#contract/errors.ts";
import type { Logger } from "#runtime/observe/log.ts";

/** What a handler called after its `run` had returned. `loses`: the call would have made something that is missing now. */
export class LateCallError extends CodedError {
  readonly loses: boolean;

  constructor(method: string, handler: string, loses: boolean) {
    super(
      "HANDLER_FAILED",
      `ctx.${method} was called after run of the handler ${handler} had returned: await it, and what calls it, before run returns.`,
    );
    this.loses = loses;
  }
}

/**
 * The calls that one `run` makes of its `ctx`: open ──close──► closed. What is under way when `run` returns is waited for,
 * since a forgotten `await` must not lose a picture; what is called later is refused, since by then the files are on their
 * way and the next job may be somebody else's.
 */
export class Calls {
  readonly #handler: string;
  readonly #log: Pick<Logger, "warn">;
  readonly #pending = new Set<Promise<unknown>>();
  #isClosed = false;

  constructor(handler: string, log: Pick<Logger, "warn">) {
    this.#handler = handler;
    this.#log = log;
  }

  /** A call that leaves nothing behind. @throws LateCallError after `run` has returned */
  use(method: string): void {
    this.#refuseLate(method, false);
  }

  /** A call that makes something, which the attempt does not end without. @throws LateCallError after `run` has returned */
  async track<Result>(method: string, begin: () => Promise<Result>): Promise<Result> {
    this.#refuseLate(method, true);
    const call = begin();
    this.#pending.add(call);
    const done = () => this.#pending.delete(call);
    call.then(done, done);
    return await call;
  }

  /** Nothing is called any more. Resolves when all that was under way has ended, with the errors that nobody waited for. */
  async close(): Promise<readonly unknown[]> {
    this.#isClosed = true;
    const settled = await Promise.allSettled(this.#pending);
    // A rejection without a handler is reported at the end of this turn.
    await nextTurn();
    return settled.flatMap((call) => (call.status === "rejected" ? [call.reason] : []));
  }

  #refuseLate(method: string, loses: boolean): void {
    if (!this.#isClosed) return;
    const error = new LateCallError(method, this.#handler, loses);
    this.#log.warn({ method: `ctx.${method}` }, error.message);
    throw error;
  }
}
