export interface TimedStage {
  readonly name: string;
  /** On the machine's clock. */
  readonly startedAtMs: number;
  readonly seconds: number;
}

/**
 * Times the stages of a pipeline, which follow each other without a gap, from the moments at which a part of one has
 * ended. A stage is reported when another one follows it; with images in several parts, once for each part.
 */
export class StageTimer {
  readonly #report: (stage: TimedStage) => void;
  #current: string | undefined;
  #start = moment();
  #end = this.#start;

  constructor(report: (stage: TimedStage) => void) {
    this.#report = report;
  }

  /** A part of this stage has ended just now: one of its steps, or the stage. */
  reached(name: string): void {
    if (name !== this.#current) this.#finish();
    this.#current = name;
    this.#end = moment();
  }

  /** This stage, the last one, has ended just now. */
  ended(name: string): void {
    this.reached(name);
    this.#finish();
    this.#current = undefined;
  }

  #finish(): void {
    const seconds = (this.#end.monotonicMs - this.#start.monotonicMs) / 1000;
    if (this.#current !== undefined) this.#report({ name: this.#current, startedAtMs: this.#start.atMs, seconds });
    this.#start = this.#end;
  }
}

function moment() {
  return { atMs: Date.now(), monotonicMs: performance.now() };
}
