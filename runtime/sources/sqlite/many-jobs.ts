import { isPermanent, isPermanentCode } from "#contract/errors.ts";
import type { Database } from "#runtime/lib/database/database.ts";
import {
  type DiscardOutcome,
  type FailureGroup,
  type JobFilter,
  type JobStatus,
  type MatchedPage,
  maxFailureGroups,
} from "../job-source.ts";
import { laneAt, placeAfter, readPlace } from "../opaque-cursor.ts";
import { prepareManyStatements } from "./statements.ts";

type Group = Pick<FailureGroup, "worker" | "code" | "type">;

/** One state, or one group of failed jobs where the filter names their error. */
interface Lane {
  readonly key: string;
  readonly status: JobStatus;
  readonly group: Group | null;
}

/** Rows that one page looks at: a body may have a megabyte, and lies before what is looked at. */
const maxLookedAt = 200;

/** Finds, counts and forgets jobs by the number. */
export class ManyJobs {
  readonly #database: Database;
  readonly #statements: ReturnType<typeof prepareManyStatements>;

  constructor(database: Database) {
    this.#database = database;
    this.#statements = prepareManyStatements(database);
  }

  async match(
    filter: JobFilter,
    page: { readonly limit: number; readonly cursor?: string | undefined },
  ): Promise<MatchedPage> {
    const place = readPlace(page.cursor);
    return this.#database.read(() => {
      const lanes = this.#lanes(filter);
      const at = laneAt(lanes, place);
      if (at === null) return { jobs: [], cursor: null };
      const limit = Math.min(page.limit, maxLookedAt);
      const rows = this.#rows(at.lane, filter, at.before, limit);
      const last = rows.length < limit ? null : (rows.at(-1)?.sequence ?? null);
      return {
        jobs: rows
          .filter(({ matches }) => matches)
          .map(({ id, status, error }) => ({
            jobId: id,
            status,
            permanent: status === "failed" && error !== null && isPermanent(error),
          })),
        cursor: placeAfter(lanes, at.lane.key, last),
      };
    });
  }

  /** Does not wait for the disk: a power cut may bring the last of them back, to be discarded again. */
  discard(jobIds: readonly string[]): Promise<DiscardOutcome[]> {
    return this.#database.writeSoon(() =>
      jobIds.map((id) => {
        const job = this.#statements.ended.get({ id });
        if (job === undefined) return "missing";
        const { status } = job;
        if (status === "queued" || status === "running") return status;
        if (!job.is_reported) return "unreported";
        this.#statements.deleteJob.run({ id });
        return "discarded";
      }),
    );
  }

  failureGroups(): Promise<FailureGroup[]> {
    return this.#database.read(() =>
      this.#groups({}, maxFailureGroups).map(({ last_ms, ...group }) => {
        const { worker, code, type } = group;
        const newest = this.#statements.newestFailure.get({ worker, code, type });
        return {
          ...group,
          // Those that failed before a job's error said so.
          permanent: isPermanentCode(code) ? group.jobs : group.permanent,
          lastAtMs: last_ms,
          newest: newest === undefined ? null : { jobId: newest.id, message: newest.error?.message ?? "" },
        };
      }),
    );
  }

  #groups({ worker, code, type }: Pick<JobFilter, "worker" | "code" | "type">, limit: number) {
    const parameters = { worker: worker ?? null, code: code ?? null, type: type ?? null, limit };
    return this.#statements.failureGroups.all(parameters);
  }

  #lanes(filter: JobFilter): Lane[] {
    if (filter.code === undefined) return filter.statuses.map((status) => ({ key: status, status, group: null }));
    if (!filter.statuses.includes("failed")) return [];
    return this.#groups(filter, -1).map(({ worker, code, type }) => ({
      key: JSON.stringify([worker, code, type]),
      status: "failed",
      group: { worker, code, type },
    }));
  }

  #rows({ status, group }: Lane, { worker, type, userId, createdBeforeMs }: JobFilter, before: number, limit: number) {
    const parameters = {
      before,
      limit,
      worker: worker ?? null,
      type: type ?? null,
      user_id: userId ?? null,
      created_before_ms: createdBeforeMs ?? null,
    };
    if (group === null) return this.#statements.matchInState.all({ ...parameters, status });
    const { worker: group_worker, code: group_code, type: group_type } = group;
    return this.#statements.matchInGroup.all({ ...parameters, group_worker, group_code, group_type });
  }
}
