import type { Logger } from "#runtime/observe/log.ts";
import type { JobRows } from "../job-rows.ts";

/**
 * Tells the app's rows of jobs that ended without a container: a cancel was asked, and then the container that ran the
 * job died. What could not be told is told again with a later take; this memory ends with the process.
 */
export class RowNotices {
  readonly #rows: JobRows | undefined;
  readonly #log: Logger | undefined;
  readonly #untold = new Set<string>();
  #telling: Promise<void> | undefined;

  constructor(rows: JobRows | undefined, log: Logger | undefined) {
    this.#rows = rows;
    this.#log = log;
  }

  /** Notes what a take has said, and tells what is untold without waiting for it. */
  cancelled(jobIds: readonly string[]): void {
    const rows = this.#rows;
    if (rows === undefined) return;
    for (const id of jobIds) this.#untold.add(id);
    if (this.#untold.size === 0) return;
    this.#telling ??= this.#tell(rows).finally(() => {
      this.#telling = undefined;
    });
  }

  async #tell(rows: JobRows): Promise<void> {
    for (const id of this.#untold) {
      try {
        await rows.cancelled(id);
        this.#untold.delete(id);
      } catch (error) {
        this.#log?.warn({ error, job_id: id }, "the row of a cancelled job could not be changed yet");
      }
    }
  }
}
