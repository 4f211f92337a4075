export interface BarState {
  readonly step: number;
  readonly total: number;
  /** Whether the bar has a name of its own before it: `Loading checkpoint shards:`. */
  readonly isNamed: boolean;
}

/** ` 12%|█▏        | 6/50 [00:10<01:10,  1.60s/it]`, as tqdm draws it. */
const bar = /^\s*(.{0,200}?):?\s*\d{1,3}%\|[^|]{0,200}\|\s*(\d{1,7})\/(\d{1,7})\s*\[/;

/** What a line says as a progress bar; null for any other line. */
export function readBar(line: string): BarState | null {
  const found = bar.exec(line);
  if (found === null) return null;
  const [, name = "", step, total] = found;
  return { step: Number(step), total: Number(total), isNamed: name.trim() !== "" };
}

/**
 * The steps of a generation by the bars of its command. Bars with a name are those of loading; the first one without is taken
 * for that of the steps, and a later one with another number of steps is another bar.
 */
export class StepWatch {
  readonly #onStep: (step: number, total: number) => void;
  #total: number | undefined;
  #step = -1;

  constructor(onStep: (step: number, total: number) => void) {
    this.#onStep = onStep;
  }

  see({ step, total, isNamed }: BarState): void {
    if (isNamed || total === 0 || step > total) return;
    this.#total ??= total;
    if (total !== this.#total || step <= this.#step) return;
    this.#step = step;
    this.#onStep(step, total);
  }
}
