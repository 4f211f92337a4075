import { constants, fstatSync, openSync, writeSync } from "node:fs";
import process from "node:process";

/*
 * Standard error, written to without ever waiting for who reads it: a terminal that was stopped (Ctrl-S), a pipe that is
 * full. A write that waits would stop this process, and with it every lease. What is not taken at once is kept, up to 1 MB;
 * what comes then is dropped, and counted.
 *
 *   a file                  is written to as ever: it has no reader
 *   a pipe, a terminal      is opened once more, so that it can be written to without waiting and stays as it is for others
 *   a socket                is a stream of Node.js, which keeps what is not taken
 */
const maxPendingBytes = 1024 * 1024;
const tryEveryMs = 20;
/** How long the end of the process waits for a reader. */
const exitLimitMs = 300;

export interface Sink {
  /** How many of the bytes were taken; 0 when none is at present. */
  write(bytes: Uint8Array): number;
  /** Bytes that the sink itself keeps. */
  readonly pendingBytes: number;
}

export class BoundedOutput {
  readonly #sink: Sink;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #timer: NodeJS.Timeout | null = null;
  #dropped = 0;

  constructor(sink: Sink) {
    this.#sink = sink;
  }

  /** What was dropped since the process started: lines of the log, and pieces of what executors wrote. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Returns false when it was dropped. */
  write(text: string | Uint8Array): boolean {
    const bytes = typeof text === "string" ? Buffer.from(text) : text;
    if (this.#pendingBytes + this.#sink.pendingBytes + bytes.length > maxPendingBytes) {
      this.#dropped++;
      return false;
    }
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
    if (this.#timer === null) this.#flush();
    return true;
  }

  /** Waits for the reader, for as long as a process that ends may. */
  flushAtExit(): void {
    const clock = new Int32Array(new SharedArrayBuffer(4));
    const deadlineMs = performance.now() + exitLimitMs;
    while (!this.#take() && performance.now() < deadlineMs) Atomics.wait(clock, 0, 0, 10);
  }

  readonly #flush = (): void => {
    this.#timer = this.#take() ? null : setTimeout(this.#flush, tryEveryMs).unref();
  };

  /** Returns whether nothing is left. */
  #take(): boolean {
    for (let bytes = this.#pending.shift(); bytes !== undefined; bytes = this.#pending.shift()) {
      const taken = this.#sink.write(bytes);
      this.#pendingBytes -= taken;
      if (taken < bytes.length) {
        this.#pending.unshift(bytes.subarray(taken));
        return false;
      }
    }
    return true;
  }
}

/** Writes without waiting to what is open under `descriptor`. */
export function sinkFor(descriptor: 1 | 2): Sink {
  const kind = fstatSync(descriptor);
  if (kind.isSocket()) return streamSink(descriptor === 1 ? process.stdout : process.stderr);
  const isRead = kind.isFIFO() || kind.isCharacterDevice();
  return descriptorSink((isRead ? openWithoutWaiting(descriptor) : null) ?? descriptor);
}

/** Null where the system has no way to it: only Linux opens a pipe anew. */
function openWithoutWaiting(descriptor: number): number | null {
  try {
    return openSync(`/proc/self/fd/${descriptor}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    return null;
  }
}

function descriptorSink(descriptor: number): Sink {
  return {
    pendingBytes: 0,
    write(bytes) {
      try {
        return writeSync(descriptor, bytes);
      } catch (error) {
        const code = error instanceof Error && "code" in error ? error.code : undefined;
        // Nobody will ever read it, or the disk is full: it must not be kept.
        return code === "EAGAIN" ? 0 : bytes.length;
      }
    },
  };
}

function streamSink(stream: NodeJS.WriteStream): Sink {
  return {
    get pendingBytes() {
      return stream.writableLength;
    },
    write(bytes) {
      stream.write(bytes);
      return bytes.length;
    },
  };
}

let output: BoundedOutput | undefined;

/** This process's standard error. */
export function standardError(): BoundedOutput {
  if (output === undefined) {
    const made = new BoundedOutput(sinkFor(2));
    process.on("exit", () => made.flushAtExit());
    output = made;
  }
  return output;
}
