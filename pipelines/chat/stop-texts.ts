/**
 * Cuts a text that comes in pieces before the first of some texts, wherever the pieces begin and end: what may be the
 * beginning of one is held back until that is known.
 */
export class StopTexts {
  readonly #stops: readonly string[];
  #held = "";

  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop !== "");
  }

  /** What may be given out, and whether the text has come to its end. */
  push(piece: string): { readonly text: string; readonly ended: boolean } {
    const text = this.#held + piece;
    const found = this.#stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
    if (found.length > 0) {
      this.#held = "";
      return { text: text.slice(0, Math.min(...found)), ended: true };
    }
    const keep = Math.max(0, ...this.#stops.map((stop) => beginningAtEnd(text, stop)));
    this.#held = text.slice(text.length - keep);
    return { text: text.slice(0, text.length - keep), ended: false };
  }

  /** What was held back, when nothing follows. */
  end(): string {
    const text = this.#held;
    this.#held = "";
    return text;
  }
}

/** How many characters at the end of the text are the beginning of `stop`. */
function beginningAtEnd(text: string, stop: string): number {
  for (let length = Math.min(stop.length - 1, text.length); length > 0; length--)
    if (text.endsWith(stop.slice(0, length))) return length;
  return 0;
}
