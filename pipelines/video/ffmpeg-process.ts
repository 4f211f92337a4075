import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";

/** How the process ended; `log` is the end of what it wrote to standard error. */
export type ProcessEnd =
  | { readonly kind: "not_started"; readonly command: string; readonly error: Error }
  | {
      readonly kind: "ended";
      readonly code: number | null;
      readonly signal: NodeJS.Signals | null;
      readonly log: string;
    };

const keptLogCharacters = 8000;

/**
 * One ffmpeg that reads from its standard input, or writes to its standard output. It runs in a process group of its own, so
 * that what a wrapper around it has started is killed along. When this process dies, its input ends, or nobody reads its
 * output, and so it ends.
 */
export class FfmpegProcess {
  /** Resolves when it is gone; never rejects. */
  readonly ended: Promise<ProcessEnd>;
  readonly #child: ChildProcess;
  #log = "";
  #isGone = false;

  /** @param writes whether what it writes to its standard output is read by the caller, from {@link output} */
  constructor(command: string, args: readonly string[], { writes = false }: { readonly writes?: boolean } = {}) {
    const hasGroups = process.platform !== "win32";
    const child = spawn(command, args, {
      stdio: ["pipe", writes ? "pipe" : "ignore", "pipe"],
      detached: hasGroups,
      windowsHide: true,
    });
    this.#child = child;
    // How it ended is reported by `ended`; without a listener the broken pipe would be an error that nobody caught.
    child.stdin?.on("error", () => undefined);
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#log = (this.#log + text).slice(-keptLogCharacters);
    });
    this.ended = this.#end(command);
  }

  /** What it writes; it waits while nobody reads. Null when it was not started to write, or could not be started. */
  get output(): Readable | null {
    return this.#child.stdout;
  }

  /** False when there is no such program, or none that may be run. */
  async hasStarted(): Promise<boolean> {
    if (this.#child.pid !== undefined) return true;
    return (await this.ended).kind === "ended";
  }

  /** Resolves when all bytes are in the pipe, which holds 64 KB: the caller may then use its buffer anew. False when ffmpeg is gone. */
  write(bytes: Uint8Array): Promise<boolean> {
    return new Promise((resolve) => {
      const { stdin } = this.#child;
      if (stdin === null || stdin.destroyed) return resolve(false);
      stdin.write(bytes, (error) => resolve(error === null || error === undefined));
    });
  }

  /** No more input. */
  close(): void {
    this.#child.stdin?.end();
  }

  /** Kills it and what it has started, and resolves when it is gone. */
  async kill(): Promise<void> {
    const { pid } = this.#child;
    if (pid !== undefined && !this.#isGone) {
      try {
        process.kill(process.platform === "win32" ? pid : -pid, "SIGKILL");
      } catch {
        // It has ended just now.
      }
    }
    // What nobody reads any more would keep it from ending.
    this.#child.stdout?.destroy();
    await this.ended;
  }

  async #end(command: string): Promise<ProcessEnd> {
    try {
      // "close" comes when its output has been read as well; waiting rejects with the error of a failed start.
      const [code, signal] = await once(this.#child, "close");
      return { kind: "ended", code, signal, log: this.#log };
    } catch (error) {
      return { kind: "not_started", command, error: error instanceof Error ? error : new Error(String(error)) };
    } finally {
      this.#isGone = true;
    }
  }
}
