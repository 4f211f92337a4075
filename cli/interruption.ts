import process from "node:process";
import { watchRunner } from "./runner-watch.ts";

/** 128 + the signal's number. */
export const signalExitCodes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
export type StopSignal = keyof typeof signalExitCodes;

/**
 * npm passes on the Ctrl-C that the terminal has sent to the whole process group already, so that one keystroke
 * arrives twice. What comes this soon is the same one.
 */
const echoMs = 500;

/**
 * Ctrl-C and the like while a command runs: the first asks it to end in order (`signal` aborts), a second one ends the
 * process at once. The end of the npm that has started the command counts as a first SIGTERM.
 *
 *   waiting ──first──► requested ──second──► process.exit
 */
export class Interruption {
  #controller = new AbortController();
  readonly #nowMs: () => number;
  #first: StopSignal | null = null;
  #lastMs = Number.NEGATIVE_INFINITY;

  readonly #stopWatching: () => void;

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
    for (const signal of Object.keys(signalExitCodes)) process.on(signal, this.#receive);
    this.#stopWatching = watchRunner(() => this.#request("SIGTERM"));
  }

  /** What the first signal has requested is done, and the command goes on: the next one is a first one, with a signal of its own. */
  rearm(): void {
    this.#first = null;
    this.#controller = new AbortController();
  }

  /** Aborts at the first signal. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Resolves at the first signal. */
  requested(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    if (this.signal.aborted) resolve();
    else this.signal.addEventListener("abort", () => resolve(), { once: true });
    return promise;
  }

  /** The exit code of the signal; null as long as there was none. */
  get exitCode(): number | null {
    return this.#first === null ? null : signalExitCodes[this.#first];
  }

  /** Signals have their usual effect again. */
  close(): void {
    this.#stopWatching();
    for (const signal of Object.keys(signalExitCodes)) process.off(signal, this.#receive);
  }

  readonly #receive = (signal: StopSignal): void => {
    const isEcho = this.#nowMs() - this.#lastMs < echoMs;
    if (isEcho) return;
    if (this.#first === null) this.#request(signal);
    else process.exit(signalExitCodes[signal]);
  };

  #request(signal: StopSignal): void {
    if (this.#first !== null) return;
    this.#lastMs = this.#nowMs();
    this.#first = signal;
    this.#controller.abort();
  }
}
