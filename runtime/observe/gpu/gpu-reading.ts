import { execFile } from "node:child_process";
import { within } from "#runtime/lib/within.ts";
import { type GpuFacts, gpuFields, parseGpus } from "./parse-gpus.ts";

/*
 * What `nvidia-smi` reports of the GPUs. It is run again only when its last answer has become old, by one process at a
 * time: a driver in trouble lets it hang, and a hanging process of each request would be worse than no answer.
 */
export interface GpuReadingOptions {
  readonly command?: string;
  /** How long an answer holds. */
  readonly maxAgeMs?: number;
  /** How long who asks waits at the most; until then, and while it takes longer, the last answer is given if it is new. */
  readonly waitMs?: number;
  /** How long the command may take: seconds, where the driver is loaded for each call. */
  readonly limitMs?: number;
  readonly monotonicMs?: () => number;
}

/** Where there is no such command, or it fails, it is run again after this. */
const failedMs = 30_000;
const maxOutputBytes = 65_536;

export class GpuReading {
  readonly #command: string;
  readonly #maxAgeMs: number;
  readonly #waitMs: number;
  readonly #limitMs: number;
  readonly #monotonicMs: () => number;
  #last: { readonly gpus: readonly GpuFacts[] | null; readonly atMs: number } | null = null;
  #request: { readonly answer: Promise<void>; readonly untilMs: number } | null = null;

  constructor({
    command = "nvidia-smi",
    maxAgeMs = 3000,
    waitMs = 1000,
    limitMs = 10_000,
    monotonicMs = () => performance.now(),
  }: GpuReadingOptions = {}) {
    this.#command = command;
    this.#maxAgeMs = maxAgeMs;
    this.#waitMs = waitMs;
    this.#limitMs = limitMs;
    this.#monotonicMs = monotonicMs;
  }

  /** The machine's GPUs; null when nothing is known of any. Never rejects. */
  async read(): Promise<readonly GpuFacts[] | null> {
    if (this.#isOld()) {
      this.#request ??= { answer: this.#fetch(), untilMs: this.#monotonicMs() + this.#waitMs };
      // Who comes while somebody waits already waits no longer than that one.
      await within(Math.max(0, this.#request.untilMs - this.#monotonicMs()), this.#request.answer);
    }
    if (this.#last === null || this.#ageMs > this.#maxAgeMs + this.#limitMs) return null;
    return this.#last.gpus;
  }

  async #fetch(): Promise<void> {
    const gpus = parseGpus(await this.#run());
    this.#last = { gpus: gpus.length === 0 ? null : gpus, atMs: this.#monotonicMs() };
    this.#request = null;
  }

  /** Its output; empty when it cannot be run, fails, takes too long or prints too much. */
  #run(): Promise<string> {
    const args = [`--query-gpu=${gpuFields.join(",")}`, "--format=csv,noheader,nounits"];
    const options = { timeout: this.#limitMs, killSignal: "SIGKILL", maxBuffer: maxOutputBytes } as const;
    return new Promise((resolve) => {
      execFile(this.#command, args, options, (error, stdout) => resolve(error === null ? stdout : ""));
    });
  }

  #isOld(): boolean {
    if (this.#last === null) return true;
    return this.#ageMs >= (this.#last.gpus === null ? failedMs : this.#maxAgeMs);
  }

  get #ageMs(): number {
    return this.#monotonicMs() - (this.#last?.atMs ?? Number.NEGATIVE_INFINITY);
  }
}
