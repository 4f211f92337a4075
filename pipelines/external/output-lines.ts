import { StringDecoder } from "node:string_decoder";

/** Of lines that are kept, and of the beginning of one whose end has not come. */
const maxLineCharacters = 400;
const keptLines = 40;

/**
 * The lines of one stream, which a carriage return ends as well: with it a progress bar is drawn over. What is kept is
 * bounded, however much comes and however long a line is.
 */
export class OutputLines {
  readonly #onLine: (line: string) => void;
  readonly #decoder = new StringDecoder("utf8");
  #partial = "";

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  write(chunk: Uint8Array): void {
    this.#take(this.#decoder.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)));
  }

  /** Nothing more comes. */
  end(): void {
    this.#take(this.#decoder.end());
    if (this.#partial !== "") this.#onLine(this.#partial);
    this.#partial = "";
  }

  #take(text: string): void {
    const parts = text.split(/[\r\n]+/);
    const [first = "", ...rest] = parts;
    this.#partial = (this.#partial + first).slice(0, maxLineCharacters);
    for (const part of rest) {
      if (this.#partial.trim() !== "") this.#onLine(this.#partial);
      this.#partial = part.slice(0, maxLineCharacters);
    }
  }
}

/** The last lines of all streams, in the order in which they came, without those of progress bars. */
export class LastLines {
  readonly #lines: string[] = [];

  add(line: string): void {
    this.#lines.push(line.trimEnd());
    if (this.#lines.length > keptLines) this.#lines.shift();
  }

  get all(): readonly string[] {
    return [...this.#lines];
  }
}

/** As each framework says it: PyTorch on a GPU and on a CPU, and cuBLAS. */
const outOfMemory =
  /CUDA out of memory|OutOfMemoryError|CUDA error: out of memory|CUBLAS_STATUS_ALLOC_FAILED|DefaultCPUAllocator: can't allocate memory|DefaultCPUAllocator: not enough memory/;

/** Whether a line of output says that the device had no room. */
export function saysOutOfMemory(line: string): boolean {
  return outOfMemory.test(line);
}
