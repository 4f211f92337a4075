import process from "node:process";
import { note } from "../output.ts";

/** What a person sees of a job that runs. `close` may be called more than once. */
export interface ProgressView {
  /** The job was given to its executor; models may have to be loaded first. */
  preparing(): void;
  step(step: number, total: number): void;
  /** Something worth a line of its own: an attempt failed and there will be another. */
  note(text: string): void;
  close(): void;
}

/** A total of 100 is a scale over stages of different kinds, as videos have them, and no number of steps. */
export function stepText(step: number, total: number): string {
  return total === 100 ? `${Math.floor(step)} %` : `step ${step} of ${total}`;
}

/** A bar on a terminal; else, or with `plain` (logs would tear the bar apart), a line now and then. */
export async function createProgressView({ plain }: { readonly plain: boolean }): Promise<ProgressView> {
  if (plain || !process.stderr.isTTY) return new ProgressLines(Date.now);
  const { SingleBar } = await import("cli-progress");
  return new ProgressBar(
    new SingleBar({
      format: "{bar} {what}",
      barCompleteChar: "█",
      barIncompleteChar: "░",
      barsize: 32,
      stream: process.stderr,
      // A second Ctrl-C ends the process at once: the cursor must not be hidden then, nor line wrapping be off.
      hideCursor: null,
      linewrap: true,
      clearOnComplete: true,
      gracefulExit: false,
    }),
  );
}

const sparseSteps = 4;
const sparseMs = 10_000;

/** For logs and pipes: the first step, each quarter, and a line after ten quiet seconds. */
export class ProgressLines implements ProgressView {
  readonly #nowMs: () => number;
  #shownPart = -1;
  #shownAtMs = 0;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  preparing(): void {
    this.#shownPart = -1;
    note("the job has started");
  }

  step(step: number, total: number): void {
    const part = Math.floor((sparseSteps * step) / total);
    if (part === this.#shownPart && this.#nowMs() - this.#shownAtMs < sparseMs) return;
    this.#shownPart = part;
    this.#shownAtMs = this.#nowMs();
    note(stepText(step, total));
  }

  note(text: string): void {
    note(text);
  }

  close(): void {}
}

/** The part of cli-progress that is used. */
interface Bar {
  start(total: number, startValue: number, payload: object): void;
  setTotal(total: number): void;
  update(current: number, payload: object): void;
  stop(): void;
}

class ProgressBar implements ProgressView {
  readonly #bar: Bar;
  #drawn = false;

  constructor(bar: Bar) {
    this.#bar = bar;
  }

  preparing(): void {
    this.close();
    this.#drawn = true;
    this.#bar.start(1, 0, { what: "preparing" });
  }

  step(step: number, total: number): void {
    if (!this.#drawn) this.preparing();
    this.#bar.setTotal(total);
    this.#bar.update(step, { what: stepText(step, total) });
  }

  note(text: string): void {
    this.close();
    note(text);
  }

  close(): void {
    if (this.#drawn) this.#bar.stop();
    this.#drawn = false;
  }
}
