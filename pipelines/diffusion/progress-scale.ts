/** A part of the work that counts for so much of the whole. */
export interface ScaledStage<Name extends string> {
  readonly name: Name;
  readonly share: number;
}

/** The end of the scale: reports are in percent. */
const whole = 100;

/** One scale from 0 to 100 over stages that follow each other, so that a reader sees one bar and not one for each stage. */
export class ProgressScale<Name extends string> {
  readonly #stages: readonly ScaledStage<Name>[];
  readonly #sum: number;

  /** @param stages in their order, with shares of any sum */
  constructor(stages: readonly ScaledStage<Name>[]) {
    this.#stages = stages;
    this.#sum = stages.reduce((sum, { share }) => sum + share, 0);
  }

  get total(): number {
    return whole;
  }

  /** Where the work is when so much of a stage is done, to a tenth. */
  at(name: Name, done: number, total: number): number {
    const index = this.#stages.findIndex((stage) => stage.name === name);
    const before = this.#stages.slice(0, index).reduce((sum, { share }) => sum + share, 0);
    const inside = ((this.#stages[index]?.share ?? 0) * Math.min(done, total)) / total;
    return Math.round((whole * 10 * (before + inside)) / this.#sum) / 10;
  }
}
