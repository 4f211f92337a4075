import type { Runtime } from "#runtime/container/runtime.ts";
import type { PlannedJob } from "../job/build-job.ts";

const pageSize = 200;

interface Container {
  readonly queue: Pick<Runtime["queue"], "list">;
  readonly registry: Pick<Runtime["registry"], "get">;
}

/** The jobs of a run's folder in the order in which they were made, each once. */
export class ChildJobs {
  readonly #seen: Set<string>;
  /** The oldest first. */
  readonly #waiting: PlannedJob[] = [];

  constructor(parentId: string) {
    this.#seen = new Set([parentId]);
  }

  /** Null when there is none. Those whose job type is not known any more are passed over. */
  async next(runtime: Container): Promise<PlannedJob | null> {
    await this.#look(runtime);
    return this.#waiting.shift() ?? null;
  }

  /** Reads what is new: the list begins with the newest, and ends for this purpose where a page brings nothing new. */
  async #look({ queue, registry }: Container): Promise<void> {
    const added: PlannedJob[] = [];
    let cursor: string | undefined;
    do {
      const page = await queue.list({ limit: pageSize, ...(cursor === undefined ? {} : { cursor }) });
      const fresh = page.jobs.filter(({ job }) => !this.#seen.has(job.id));
      for (const { job } of fresh) {
        this.#seen.add(job.id);
        const handler = registry.get(job.type);
        if (handler !== undefined) added.push({ job, handler, unread: { ignored: [] } });
      }
      cursor = fresh.length === 0 ? undefined : (page.cursor ?? undefined);
    } while (cursor !== undefined);
    this.#waiting.push(...added.reverse());
  }
}
