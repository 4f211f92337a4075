import { maxChunkBytes } from "./protocol/limits.ts";

/*
 * All that is posted for one job, one at a time: chunks of its text, whole and in their order; its progress, of which only the
 * newest counts; then its end. Nothing of the job is on its way when its end is posted, so that no progress overtakes it, also
 * none of an earlier attempt.
 */
export interface JobChannelOptions {
  /** Best effort. */
  postProgress(progress: unknown): Promise<void>;
  /** Undefined where nobody takes chunks. Rejects when one cannot be posted. */
  readonly postChunk: ((text: string) => Promise<void>) | undefined;
  /** Between two posts of progress. */
  readonly progressEveryMs: number;
  /** A clock that is never set. */
  readonly monotonicMs: () => number;
}

/** A character of a text takes six bytes of JSON at the most. */
const maxChunkCharacters = Math.floor(maxChunkBytes / 6) - 100;

export class JobChannel {
  readonly #options: JobChannelOptions;
  #progress: unknown;
  #text = "";
  #timer: NodeJS.Timeout | null = null;
  #inFlight: Promise<void> | null = null;
  #lastProgressMs = Number.NEGATIVE_INFINITY;
  #isClosed = false;
  #isBroken = false;
  /** Whether chunks were posted, so that the end is that of a stream. */
  hasStreamed = false;

  constructor(options: JobChannelOptions) {
    this.#options = options;
  }

  progress(progress: unknown): void {
    if (this.#isClosed) return;
    this.#progress = progress;
    this.#go();
  }

  text(delta: string): void {
    if (this.#isClosed || this.#isBroken || this.#options.postChunk === undefined) return;
    this.#text += delta;
    this.#go();
  }

  /** Resolves when all of the text has been posted and nothing is on its way; takes nothing more. */
  async finish(): Promise<void> {
    this.#isClosed = true;
    this.#progress = undefined;
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    while (this.#inFlight !== null || this.#next() !== null) {
      this.#go();
      await this.#inFlight;
    }
  }

  /** Nothing more of the job but what is on its way. */
  drop(): void {
    this.#isClosed = true;
    this.#forget();
  }

  /** Nothing more of this attempt. Of a text that was streamed in part, the next one would stream the beginning again. */
  nextAttempt(): void {
    this.#forget();
    if (this.hasStreamed) this.#isBroken = true;
  }

  #forget(): void {
    this.#progress = undefined;
    this.#text = "";
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #go(): void {
    if (this.#inFlight !== null) return;
    const next = this.#next();
    if (next === null) return;
    // Text that comes meanwhile does not wait for the progress's turn.
    if (next.waitMs > 0) {
      this.#timer ??= setTimeout(() => {
        this.#timer = null;
        this.#go();
      }, next.waitMs);
      return;
    }
    this.#inFlight = next.post().finally(() => {
      this.#inFlight = null;
      this.#go();
    });
  }

  #next(): { readonly waitMs: number; post(): Promise<void> } | null {
    if (this.#text !== "") return { waitMs: 0, post: () => this.#postText() };
    if (this.#progress === undefined) return null;
    const { progressEveryMs, monotonicMs } = this.#options;
    const waitMs = Math.max(0, this.#lastProgressMs + progressEveryMs - monotonicMs());
    return { waitMs, post: () => this.#postProgress() };
  }

  async #postText(): Promise<void> {
    const chunk = this.#text.slice(0, cutAt(this.#text));
    this.#text = this.#text.slice(chunk.length);
    this.hasStreamed = true;
    try {
      await this.#options.postChunk?.(chunk);
    } catch {
      // A stream with a hole is worse than one that ends: the whole text comes with the result.
      this.#isBroken = true;
      this.#text = "";
    }
  }

  async #postProgress(): Promise<void> {
    const progress = this.#progress;
    this.#progress = undefined;
    this.#lastProgressMs = this.#options.monotonicMs();
    await this.#options.postProgress(progress).catch(() => undefined);
  }
}

/** Never between the halves of a character. */
function cutAt(text: string): number {
  if (text.length <= maxChunkCharacters) return text.length;
  const code = text.charCodeAt(maxChunkCharacters - 1);
  return code >= 0xd800 && code < 0xdc00 ? maxChunkCharacters - 1 : maxChunkCharacters;
}
