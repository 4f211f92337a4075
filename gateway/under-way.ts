import type { ServerResponse } from "node:http";

/** The responses that have not ended. Connections would not do to wait for: idle ones may stay open for minutes. */
export class UnderWay {
  #count = 0;
  #whenNone: (() => void) | null = null;

  add(response: ServerResponse): void {
    this.#count += 1;
    response.once("close", () => {
      this.#count -= 1;
      if (this.#count === 0) this.#whenNone?.();
    });
  }

  /** Resolves when none is left. */
  async none(): Promise<void> {
    if (this.#count === 0) return;
    await new Promise<void>((resolve) => {
      this.#whenNone = resolve;
    });
  }
}
