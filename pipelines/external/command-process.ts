import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { LastLines, OutputLines, saysOutOfMemory } from "./output-lines.ts";
import { type BarState, readBar } from "./progress-bar.ts";

export interface CommandOptions {
  /** The program and its arguments: no shell reads them. */
  readonly command: readonly string[];
  /** Everything that is in its environment. */
  readonly environment: Readonly<Record<string, string>>;
  readonly folder: string;
  readonly signal: AbortSignal;
  /** After so long it is stopped. */
  readonly timeoutMs?: number | undefined;
  /** How long it may take to end after SIGTERM. */
  readonly graceMs?: number;
  onBar(bar: BarState): void;
}

export interface CommandEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The last lines that it printed, without progress bars. */
  readonly lines: readonly string[];
  /** A line said so, be it among the last ones or not. */
  readonly wasOutOfMemory: boolean;
  /** It was stopped after its time. */
  readonly wasTooLong: boolean;
}

const defaultGraceMs = 5000;
/** How long its streams may stay open after its end: what has left its group may hold them. */
const streamsLimitMs = 1000;

/**
 * Runs a command to its end, in a session and process group of its own, so that what it has started ends with it: by SIGTERM, and
 * by SIGKILL after a grace, when its time is over or the signal is aborted; by SIGKILL when it has ended by itself. What leaves
 * the group is found by who owns this process, at the end of the attempt.
 * @throws the system's error when it cannot be started; the signal's reason when it is aborted, after the command has ended
 */
export async function runCommand(options: CommandOptions): Promise<CommandEnd> {
  options.signal.throwIfAborted();
  return await new CommandProcess(options).run();
}

class CommandProcess {
  readonly #options: CommandOptions;
  readonly #child: ChildProcess;
  readonly #lines = new LastLines();
  readonly #streams: OutputLines[] = [];
  #wasOutOfMemory = false;
  #wasTooLong = false;
  #killer: NodeJS.Timeout | undefined;

  constructor(options: CommandOptions) {
    this.#options = options;
    const [program = "", ...args] = options.command;
    this.#child = spawn(program, args, {
      cwd: options.folder,
      env: { ...options.environment },
      stdio: ["ignore", "pipe", "pipe"],
      detached: process.platform !== "win32",
      windowsHide: true,
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      const lines = new OutputLines((line) => this.#read(line));
      this.#streams.push(lines);
      stream?.on("data", (chunk: Buffer) => lines.write(chunk));
    }
  }

  async run(): Promise<CommandEnd> {
    const { signal, timeoutMs } = this.#options;
    const stop = () => this.#stop();
    signal.addEventListener("abort", stop, { once: true });
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => this.#timeOut(), timeoutMs);
    try {
      // Rejects with the error of a failed start.
      const [code, killedBy] = await once(this.#child, "exit");
      this.#kill("SIGKILL");
      await this.#closeStreams();
      signal.throwIfAborted();
      const { all: lines } = this.#lines;
      return { code, signal: killedBy, lines, wasOutOfMemory: this.#wasOutOfMemory, wasTooLong: this.#wasTooLong };
    } finally {
      signal.removeEventListener("abort", stop);
      clearTimeout(timer);
      clearTimeout(this.#killer);
    }
  }

  #read(line: string): void {
    const bar = readBar(line);
    if (bar === null) {
      this.#wasOutOfMemory ||= saysOutOfMemory(line);
      this.#lines.add(line);
    } else this.#options.onBar(bar);
  }

  #timeOut(): void {
    this.#wasTooLong = true;
    this.#stop();
  }

  #stop(): void {
    this.#kill("SIGTERM");
    this.#killer ??= setTimeout(() => this.#kill("SIGKILL"), this.#options.graceMs ?? defaultGraceMs);
  }

  /** To the whole group; nothing when that is gone. */
  #kill(signal: NodeJS.Signals): void {
    const { pid } = this.#child;
    if (pid === undefined) return;
    try {
      process.kill(process.platform === "win32" ? pid : -pid, signal);
    } catch {
      // It has ended just now.
    }
  }

  async #closeStreams(): Promise<void> {
    const limit = AbortSignal.timeout(streamsLimitMs);
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (stream !== null && !stream.closed) await once(stream, "close", { signal: limit }).catch(() => undefined);
      stream?.destroy();
    }
    for (const lines of this.#streams) lines.end();
  }
}
