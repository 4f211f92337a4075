/** How often the text is reported; a language model makes 20 to 50 pieces a second. */
const everyMs = 250;
/** What is reported of a longer text: each report has all of it. */
const maxShown = 32_000;

/** The text that a job's handler makes, for who watches the job: reported whole, four times a second, and at the end. */
export class LiveText {
  readonly #report: (text: string) => void;
  #text = "";
  #timer: NodeJS.Timeout | null = null;

  constructor(report: (text: string) => void) {
    this.#report = report;
  }

  add(delta: string): void {
    if (this.#text.length >= maxShown) return;
    this.#text = (this.#text + delta).slice(0, maxShown);
    this.#timer ??= setTimeout(() => this.#flush(), everyMs);
  }

  /** Reports what has not been reported yet. */
  close(): void {
    if (this.#timer === null) return;
    clearTimeout(this.#timer);
    this.#flush();
  }

  #flush(): void {
    this.#timer = null;
    this.#report(this.#text.toWellFormed());
  }
}
