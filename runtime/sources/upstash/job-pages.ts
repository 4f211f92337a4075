import { CodedError } from "#contract/errors.ts";
import type { Keys } from "#contract/queue-keys.ts";
import { readOffers } from "#contract/queue-offers.ts";
import { type JobPage, type JobRecord, type ListFilter, maxPageBytes } from "../job-source.ts";
import { toJobRecord } from "./records.ts";
import { listAnswer, waitingAnswer } from "./replies.ts";
import type { RestClient } from "./rest-client.ts";

/** An arrival: microseconds since 1970. */
const cursorForm = /^[1-9]\d{0,15}$/;
const readAtOnce = { min: 20, max: 200 };

/** @throws CodedError INVALID_REQUEST when the cursor is not one that a page returned */
export async function listJobs(client: RestClient, keys: Keys, filter: ListFilter): Promise<JobPage> {
  const jobs: JobRecord[] = [];
  let [last, held] = ["", 0];
  for (let before = checkedCursor(filter); ; ) {
    const page = await readPage(client, keys, filter, before);
    for (const [arrival, state, body, progress] of page.jobs) {
      const record = toJobRecord(state, body, progress, page.offers, { paused: page.paused });
      if (!isWanted(record, filter)) continue;
      // One more than the limit: there is a next page.
      if (jobs.length === filter.limit) return { jobs, cursor: last };
      jobs.push(record);
      held += state.length + body.length;
      last = arrival;
    }
    if (page.cursor === "") return { jobs, cursor: null };
    if (jobs.length === filter.limit || held >= maxPageBytes) return { jobs, cursor: page.cursor };
    before = page.cursor;
  }
}

/** Due jobs of a worker in the order in which they go. */
export async function waitingJobs(client: RestClient, keys: Keys, worker: string, limit: number): Promise<JobRecord[]> {
  const args = [JSON.stringify({ jobPrefix: keys.jobPrefix, limit, maxBytes: maxPageBytes })];
  const places = [keys.ready(worker), keys.parked(worker), keys.timetable, keys.offers];
  const [jobs, nowMs, texts, paused] = waitingAnswer.parse(await client.run("waiting", { keys: places, args }));
  const offers = readOffers(texts, nowMs);
  return jobs.map(([state, body], index) => toJobRecord(state, body, "", offers, { paused, place: index + 1 }));
}

function checkedCursor({ cursor }: ListFilter): string | undefined {
  if (cursor === undefined || cursorForm.test(cursor)) return cursor;
  throw new CodedError("INVALID_REQUEST", `The cursor "${cursor}" is not one that a page returned.`);
}

/** What the script does not look at. */
function isWanted({ job, worker }: JobRecord, filter: ListFilter): boolean {
  return (
    (filter.type === undefined || job.type === filter.type) && (filter.worker === undefined || worker === filter.worker)
  );
}

async function readPage(client: RestClient, keys: Keys, filter: ListFilter, before: string | undefined) {
  const request = {
    jobPrefix: keys.jobPrefix,
    limit: Math.min(Math.max(filter.limit + 1, readAtOnce.min), readAtOnce.max),
    before,
    maxBytes: maxPageBytes,
    status: filter.status,
    user: filter.userId,
  };
  const listKeys = [keys.index, keys.timetable, keys.offers];
  const [jobs, cursor, nowMs, texts, paused] = listAnswer.parse(
    await client.run("list", { keys: listKeys, args: [JSON.stringify(request)] }),
  );
  return { jobs, cursor, offers: readOffers(texts, nowMs), paused };
}
