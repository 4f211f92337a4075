/** What stands for bytes that are no whole character. */
const partial = "\uFFFD";

/**
 * Turns tokens into text as they come. A token may end within a character: its text is held back until the rest is there.
 * Read in windows of two steps, since a tokenizer may write a token at the beginning otherwise than one after another.
 */
export class TokenText {
  readonly #decode: (ids: readonly number[]) => string;
  readonly #ids: number[] = [];
  /** Where the window begins, and where in it what was given out ends. */
  #begin = 0;
  #given = 0;

  constructor(decode: (ids: readonly number[]) => string) {
    this.#decode = decode;
  }

  /** The text that this token completes; often nothing. */
  push(id: number): string {
    this.#ids.push(id);
    const text = this.#rest();
    if (text === "" || text.endsWith(partial)) return "";
    this.#begin = this.#given;
    this.#given = this.#ids.length;
    return text;
  }

  /** What was held back, when no token follows. */
  end(): string {
    const text = this.#rest();
    this.#given = this.#ids.length;
    return text;
  }

  #rest(): string {
    const before = this.#decode(this.#ids.slice(this.#begin, this.#given));
    return this.#decode(this.#ids.slice(this.#begin)).slice(before.length);
  }
}
