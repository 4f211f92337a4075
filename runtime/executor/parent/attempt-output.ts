import { maxLogLineCharacters, maxLogLines, shortLine } from "#contract/attempt-log.ts";

export const outputStreams = ["stdout", "stderr"] as const;
export type OutputStream = (typeof outputStreams)[number];

const evidenceCharacters = 4096;
const maxJsonCharacters = 20_000;

/** The last lines of what one attempt, or a process between two, has printed on both its streams, in the order in which they came. */
export class AttemptOutput {
  readonly #lines: string[] = [];
  /** Beginnings of lines. */
  readonly #partial = new Map<OutputStream, string>();
  readonly #open = new Set<OutputStream>(outputStreams);
  readonly #closed = Promise.withResolvers<void>();
  #dropped = 0;

  write(stream: OutputStream, text: string): void {
    const lines = `${this.#partial.get(stream) ?? ""}${text}`.split("\n");
    this.#partial.set(stream, shortLine(lines.pop() ?? "", maxJsonCharacters));
    for (const line of lines) this.#add(line);
  }

  /** Nothing more comes on this stream. */
  end(stream: OutputStream): void {
    const rest = this.#partial.get(stream) ?? "";
    this.#partial.delete(stream);
    if (rest !== "") this.#add(rest);
    this.#open.delete(stream);
    if (this.#open.size === 0) this.#closed.resolve();
  }

  /** Resolves when it is whole. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  get lines(): readonly string[] {
    const begun = [...this.#partial.values()].filter((text) => text !== "").map(shown);
    return [...this.#lines, ...begun].slice(-maxLogLines);
  }

  /** Lines before those. */
  get dropped(): number {
    return this.#dropped;
  }

  /** What a crash is shown with. */
  get evidence(): string {
    return this.lines.join("\n").slice(-evidenceCharacters).trim();
  }

  #add(line: string): void {
    this.#lines.push(shown(line));
    if (this.#lines.length <= maxLogLines) return;
    this.#lines.shift();
    this.#dropped++;
  }
}

/** A line that a program wrote over (`\r`, a progress bar) is what it was last. */
function shown(line: string): string {
  const last = line.replace(/\r+$/, "").split("\r").at(-1) ?? "";
  // A line of the log is JSON, which cut would be none: what is shown of it is shorter.
  return shortLine(last, last.startsWith("{") ? maxJsonCharacters : maxLogLineCharacters);
}
