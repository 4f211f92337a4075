import type { Preset } from "#contract/enhancement-presets.ts";
import { redact } from "#contract/errors.ts";
import type { Logger } from "#runtime/observe/log.ts";
import { readPresetFiles, shippedPresets } from "./preset-files.ts";
import type { PresetRows } from "./preset-rows.ts";

/*
 * The presets that a container knows: those that are shipped, over them the files of PRESETS_DIR, over both the rows of the
 * project's table. Of one name and target the last one counts. Files are read once, rows again every few minutes.
 */

export interface PresetsOptions {
  /** Of the operator's own; undefined for none. */
  readonly folder: string | undefined;
  /** Null where no project is configured. */
  readonly table: { read(): Promise<PresetRows> } | null;
  readonly log: Logger;
  readonly rereadMs?: number;
}

const fiveMinutesMs = 300_000;

export class Presets {
  readonly #options: PresetsOptions;
  readonly #files: readonly Preset[];
  #rows: readonly Preset[] = [];
  /** What was logged last of the table: the same is not logged again. */
  #trouble = "";
  #timer: NodeJS.Timeout | undefined;
  #reading: Promise<void> = Promise.resolve();

  private constructor(options: PresetsOptions, files: readonly Preset[]) {
    this.#options = options;
    this.#files = files;
  }

  /**
   * Reads the files; rows follow with {@link start}.
   * @throws CodedError CONFIG_INVALID that names every file that is wrong
   */
  static async load(options: PresetsOptions): Promise<Presets> {
    const folders = [shippedPresets, ...(options.folder === undefined ? [] : [options.folder])];
    const files = await Promise.all(folders.map(readPresetFiles));
    return new Presets(options, files.flat());
  }

  /** Each name and target once. */
  get all(): readonly Preset[] {
    const known = new Map<string, Preset>();
    for (const preset of [...this.#files, ...this.#rows]) known.set(`${preset.target} ${preset.name}`, preset);
    return [...known.values()];
  }

  /** Begins to read the table, now and again; without it the files count. */
  start(): void {
    if (this.#options.table === null || this.#timer !== undefined) return;
    this.#timer = setInterval(() => this.reread(), this.#options.rereadMs ?? fiveMinutesMs).unref();
    void this.reread();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Reads the table once more, after a reading that is under way. Resolves when that has ended, well or not. */
  reread(): Promise<void> {
    this.#reading = this.#reading.then(() => this.#read());
    return this.#reading;
  }

  async #read(): Promise<void> {
    const { table } = this.#options;
    if (table === null) return;
    try {
      const { presets, problems } = await table.read();
      this.#rows = presets;
      this.#report(problems);
    } catch (error) {
      // Rows that were read before still count.
      this.#report([error instanceof Error ? redact(error.message) : String(error)]);
    }
  }

  #report(problems: readonly string[]): void {
    const trouble = problems.join("\n");
    if (trouble !== this.#trouble && trouble !== "") this.#options.log.warn({ problems }, "presets are left out");
    this.#trouble = trouble;
  }
}
