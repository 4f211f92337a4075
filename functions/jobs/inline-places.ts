import { HttpError } from "../errors.ts";

/** Each holds its files in memory until its reader has taken them: 64 MB together. */
const maxAnswers = 8;
/** Readers that take their files slowly hold up whoever waits no longer than this. */
const waitMs = 30_000;

/** How many answers with files in them are under way at once; others wait for their turn. */
export class InlinePlaces {
  readonly #max: number;
  readonly #waitMs: number;
  readonly #waiting: (() => void)[] = [];
  #taken = 0;

  constructor(limits: { readonly max: number; readonly waitMs: number } = { max: maxAnswers, waitMs }) {
    this.#max = limits.max;
    this.#waitMs = limits.waitMs;
  }

  /**
   * Resolves to the way to give the place back, which may be called again.
   * @throws HttpError OVERLOADED after 30 s; the signal's reason
   */
  async take(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    if (this.#taken >= this.#max) await this.#turn(signal);
    else this.#taken++;
    let isTaken = true;
    return () => {
      if (isTaken) this.#next();
      isTaken = false;
    };
  }

  /** The place of whoever has gone is the next one's at once: nobody comes in between. */
  #next(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#taken--;
    else next();
  }

  async #turn(signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const leave = (reason: unknown) => {
      const at = this.#waiting.indexOf(resolve);
      // Their turn has just come.
      if (at < 0) return;
      this.#waiting.splice(at, 1);
      reject(reason);
    };
    const onAbort = () => leave(signal.reason);
    const timer = setTimeout(() => leave(overloaded(this.#max)), this.#waitMs);
    signal.addEventListener("abort", onAbort, { once: true });
    this.#waiting.push(resolve);
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    }
  }
}

function overloaded(max: number): HttpError {
  const message = `${max} answers with files are under way, which is the limit: try again later, or ask without inline and fetch the files at their addresses.`;
  return new HttpError("OVERLOADED", message, { headers: { "Retry-After": "10" } });
}

const placesOf = new WeakMap<object, InlinePlaces>();

/** Those of the container whose store this is. */
export function inlinePlaces(store: object): InlinePlaces {
  const known = placesOf.get(store) ?? new InlinePlaces();
  placesOf.set(store, known);
  return known;
}
