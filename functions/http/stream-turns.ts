import { Turns } from "./turns.ts";

/** What is written in one turn of the event loop: some milliseconds of work, after which everything else has its turn. */
const streamsInATurn = 32;
/** The share of the time that streams may cost: with 1,000 of them, each is written to four times a second. */
const pauseMsForEachStream = 0.25;
/** Less is not worth a timer. */
const leastPauseMs = 5;

/**
 * When streams are written to. An event that a thousand readers wait for makes all of them ready at once: they go in turns,
 * and the more there are, the longer each pauses between two writes. What happens meanwhile is sent together, or not at all
 * where newer progress replaces it.
 */
export class StreamTurns {
  readonly #open: () => number;
  readonly #turns = new Turns(streamsInATurn);

  /** @param open how many streams there are */
  constructor(open: () => number) {
    this.#open = open;
  }

  /** When a stream that was last written to at this moment (of `performance.now()`) may read what is next; null: now. */
  pause(writtenAtMs: number, signal: AbortSignal): Promise<void> | null {
    const pauseMs = this.#open() * pauseMsForEachStream;
    const leftMs = writtenAtMs + pauseMs - performance.now();
    return pauseMs < leastPauseMs || leftMs <= 0 || signal.aborted ? null : this.#wait(leftMs, signal);
  }

  async #wait(limitMs: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const onAbort = () => resolve();
    const timer = setTimeout(resolve, limitMs);
    signal.addEventListener("abort", onAbort);
    await promise;
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }

  /** When it is a stream's turn to write; null: now. */
  next(): Promise<void> | null {
    if (this.#open() <= streamsInATurn) return null;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#turns.add(resolve);
    return promise;
  }
}
