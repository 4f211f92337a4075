/**
 * Text on its way to a reader of its own speed: pieces that it has not taken yet are joined. So a slow reader costs no more
 * than the text itself, which `ctx.text` bounds, and holds up nobody. Give `push` to a call as `onText`.
 */
export class TextInbox implements AsyncIterable<string> {
  #text = "";
  #isClosed = false;
  #failure: { readonly error: unknown } | null = null;
  #wake: (() => void) | null = null;

  readonly push = (delta: string): void => {
    if (this.#isClosed) return;
    this.#text += delta;
    this.#wake?.();
  };

  /** No more comes: the reader ends when it has taken the rest. */
  close(): void {
    this.#isClosed = true;
    this.#wake?.();
  }

  /** As `close`, and then the reader gets the error. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.close();
  }

  /** Each piece is all that has come since the one before; for one reader. */
  async *[Symbol.asyncIterator](): AsyncGenerator<string, undefined> {
    for (;;) {
      if (this.#text !== "") {
        const text = this.#text;
        this.#text = "";
        yield text;
      } else if (this.#isClosed) {
        if (this.#failure !== null) throw this.#failure.error;
        return;
      } else {
        await this.#more();
      }
    }
  }

  async #more(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    await promise;
    this.#wake = null;
  }
}
