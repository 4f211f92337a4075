import { CodedError } from "#contract/errors.ts";
import { endedBy } from "./call-failure.ts";

/** A request that may be the repetition of another one. */
export interface SharedRequest {
  readonly type: string;
  /** Whose, and which: the same for requests that are the same. */
  readonly key: string;
  /** Another one for another body. */
  readonly digest: string;
  readonly signal: AbortSignal;
  readonly onText?: ((delta: string) => void) | undefined;
}

export interface Shared {
  /** Aborts when nobody waits any more. */
  readonly signal: AbortSignal;
  readonly onText: (delta: string) => void;
}

interface Entry<Answer> {
  readonly digest: string;
  readonly controller: AbortController;
  readonly readers: Set<(delta: string) => void>;
  readonly answer: Promise<Answer>;
  text: string;
  /** Characters that are kept for it. */
  size: number;
  waiting: number;
  /** Until when an answer is kept; null while there is none. */
  untilMs: number | null;
}

const kept = { forMs: 600_000, answers: 1000, characters: 16_000_000 };

/**
 * Answers by idempotency key, in this container's memory: the same key and body get the same answer, while it is made (its text
 * from the beginning) and for ten minutes, or until there are too many. A failure is not kept: to try again is what the key is for.
 */
export class SharedAnswers<Answer extends { readonly output: { readonly text?: string | undefined } }> {
  readonly #nowMs: () => number;
  readonly #entries = new Map<string, Entry<Answer>>();

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /**
   * @param start makes the answer where there is none
   * @throws CodedError IDEMPOTENCY_CONFLICT for another body under a known key
   */
  async get(request: SharedRequest, start: (shared: Shared) => Promise<Answer>): Promise<Answer> {
    this.#forgetOld();
    const { type, key, digest, signal, onText } = request;
    const entry = this.#entries.get(key) ?? this.#begin(key, digest, start);
    if (entry.digest !== digest) {
      const message = "The idempotency key was used for another request: take a new key for another body.";
      throw new CodedError("IDEMPOTENCY_CONFLICT", message, { details: { call: type } });
    }
    if (onText !== undefined) {
      if (entry.text !== "") onText(entry.text);
      entry.readers.add(onText);
    }
    entry.waiting++;
    const left = Promise.withResolvers<never>();
    const onAbort = () => left.reject(endedBy(type, signal));
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await Promise.race([entry.answer, left.promise]);
    } finally {
      signal.removeEventListener("abort", onAbort);
      if (onText !== undefined) entry.readers.delete(onText);
      entry.waiting--;
      if (entry.waiting === 0 && entry.untilMs === null) this.#abandon(key, entry, endedBy(type, signal));
    }
  }

  /** Nobody waits for it any more; who comes with its key begins anew. */
  #abandon(key: string, entry: Entry<Answer>, reason: CodedError): void {
    if (this.#entries.get(key) === entry) this.#entries.delete(key);
    entry.controller.abort(reason);
  }

  #begin(key: string, digest: string, start: (shared: Shared) => Promise<Answer>): Entry<Answer> {
    const controller = new AbortController();
    const readers = new Set<(delta: string) => void>();
    const onText = (delta: string) => {
      entry.text += delta;
      for (const reader of readers) reader(delta);
    };
    const answer = start({ signal: controller.signal, onText });
    const entry: Entry<Answer> = { digest, controller, readers, answer, text: "", size: 0, waiting: 0, untilMs: null };
    this.#entries.set(key, entry);
    answer.then(
      ({ output }) => {
        entry.untilMs = this.#nowMs() + kept.forMs;
        entry.size = entry.text.length + (output.text?.length ?? 0);
        this.#forgetOld();
      },
      () => {
        if (this.#entries.get(key) === entry) this.#entries.delete(key);
      },
    );
    return entry;
  }

  /** Those whose time is over, and the oldest of too many. What is being made stays. */
  #forgetOld(): void {
    const nowMs = this.#nowMs();
    const answered = [...this.#entries].filter(([, { untilMs }]) => untilMs !== null);
    let characters = answered.reduce((sum, [, { size }]) => sum + size, 0);
    let count = answered.length;
    for (const [key, { untilMs, size }] of answered) {
      const isOver = untilMs !== null && untilMs <= nowMs;
      if (!isOver && count <= kept.answers && characters <= kept.characters) continue;
      this.#entries.delete(key);
      count--;
      characters -= size;
    }
  }
}
