import { CodedError } from "#contract/errors.ts";
import type { JobPage, JobQueue, JobRecord, ListFilter } from "./job-source.ts";

/*
 * One list of the jobs of several sources, newest first. Each source is asked for a whole page; of what they answer the
 * newest are shown, and of each source the cursor is kept where its part ends:
 *
 *   sqlite:0~upstash:1756300000000000     from the beginning of one, from there in the other; of the third there is no more
 *
 * A source names its cursors by numbers, and only the end of a page: where a part ends in the middle of what was
 * answered, a page of that length is asked for once more. Jobs that come in between can only make one be shown twice.
 */
export interface CombinedPage extends JobPage {
  /** Sources that did not answer, in time or at all. */
  readonly unreachable: readonly string[];
}

interface Entry {
  readonly source: string;
  readonly record: JobRecord;
}

/** How long a source may keep the answers of the others waiting. */
const defaultLimitMs = 5000;
const beginning = "0";
const cursorForm = /^[a-z0-9_-]+:\d{1,16}(?:~[a-z0-9_-]+:\d{1,16})*$/;

interface Part {
  readonly source: string;
  readonly queue: JobQueue;
  readonly cursor: string;
  /** Null when the source did not answer. */
  readonly page: JobPage | null;
  readonly error?: unknown;
}

/** @throws what the first source throws when none answers; CodedError INVALID_REQUEST */
export async function listAll(
  queues: ReadonlyMap<string, JobQueue>,
  filter: ListFilter,
  limitMs = defaultLimitMs,
): Promise<CombinedPage & { readonly entries: readonly Entry[] }> {
  const parts = await Promise.all(
    readCursor(filter.cursor, queues).map(async ({ source, queue, cursor }): Promise<Part> => {
      const answer = await attempt(queue.list(withCursor(filter, cursor)), limitMs);
      return { source, queue, cursor, ...answer };
    }),
  );
  if (parts.length > 0 && parts.every(({ page }) => page === null)) throw parts[0]?.error;
  const entries = newestOf(parts, filter.limit);
  const next = await Promise.all(
    parts.map((part) => cursorAfter(part, entries.filter(({ source }) => source === part.source).length, filter)),
  );
  const open = next.filter((cursor) => cursor !== null);
  return {
    entries,
    jobs: entries.map(({ record }) => record),
    cursor: open.length === 0 ? null : open.join("~"),
    unreachable: parts.flatMap(({ source, page }) => (page === null ? [source] : [])),
  };
}

/** Of each source from its beginning: its own order stays, whatever its clock says. */
function newestOf(parts: readonly Part[], limit: number): Entry[] {
  const left = parts.map(({ source, page }) => (page?.jobs ?? []).map((record) => ({ source, record })));
  const entries: Entry[] = [];
  while (entries.length < limit) {
    const heads = left.filter(([first]) => first !== undefined);
    const newest = heads.toSorted((one, other) => createdAt(other) - createdAt(one))[0]?.shift();
    if (newest === undefined) return entries;
    entries.push(newest);
  }
  return entries;
}

function createdAt([first]: readonly Entry[]): number {
  return first?.record.createdAtMs ?? 0;
}

/** Where the source's part goes on; null when there is no more. */
async function cursorAfter({ source, queue, cursor, page }: Part, shown: number, filter: ListFilter) {
  if (page === null || (shown === 0 && page.jobs.length > 0)) return `${source}:${cursor}`;
  const end = shown === page.jobs.length ? page : await queue.list({ ...withCursor(filter, cursor), limit: shown });
  return end.cursor === null ? null : `${source}:${end.cursor}`;
}

/** What the caller did wrong is no failure of the source. */
async function attempt(answer: Promise<JobPage>, limitMs: number): Promise<Pick<Part, "page" | "error">> {
  const { promise: late, resolve } = Promise.withResolvers<Pick<Part, "page" | "error">>();
  const error = new CodedError("QUEUE_UNREACHABLE", "The queue does not answer: try again later.");
  const timer = setTimeout(() => resolve({ page: null, error }), limitMs);
  try {
    return await Promise.race([answer.then((page) => ({ page })), late]);
  } catch (cause) {
    if (cause instanceof CodedError && cause.code === "INVALID_REQUEST") throw cause;
    return { page: null, error: cause };
  } finally {
    clearTimeout(timer);
  }
}

function withCursor({ cursor: _, ...filter }: ListFilter, cursor: string): ListFilter {
  return cursor === beginning ? filter : { ...filter, cursor };
}

/** @throws CodedError INVALID_REQUEST */
function readCursor(cursor: string | undefined, queues: ReadonlyMap<string, JobQueue>) {
  if (cursor === undefined) return [...queues].map(([source, queue]) => ({ source, queue, cursor: beginning }));
  const invalid = new CodedError("INVALID_REQUEST", `The cursor "${cursor}" is not one that a page returned.`);
  if (!cursorForm.test(cursor)) throw invalid;
  return cursor.split("~").map((part) => {
    const [source = "", place = ""] = part.split(":");
    const queue = queues.get(source);
    if (queue === undefined) throw invalid;
    return { source, queue, cursor: place };
  });
}
