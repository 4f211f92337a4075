import { isPermanent, isPermanentCode } from "#contract/errors.ts";
import type { Keys } from "#contract/queue-keys.ts";
import {
  type DiscardOutcome,
  type FailureGroup,
  type JobFilter,
  type MatchedPage,
  maxFailureGroups,
  otherTypes,
} from "../job-source.ts";
import { laneAt, placeAfter, readPlace } from "../opaque-cursor.ts";
import * as replies from "./replies.ts";
import type { RestClient } from "./rest-client.ts";

/** What one call looks at; the script ends a page of large jobs before. */
const maxLookedAt = 200;
/** What one call files, whose records it reads whole. */
const filedAtOnce = 50;
const filedForSeconds = 86_400;

/** The jobs of a filter, and where they are found: failed ones in their groups, all others in the index of all jobs. */
interface Lane {
  readonly key: string;
  readonly place: string;
  readonly statuses: readonly string[];
  /** That not all of its jobs have. */
  readonly type: string | undefined;
}

export async function matchJobs(
  client: RestClient,
  keys: Keys,
  filter: JobFilter,
  { limit, cursor }: { readonly limit: number; readonly cursor?: string | undefined },
): Promise<MatchedPage> {
  const place = readPlace(cursor);
  const lanes = await lanesOf(client, keys, filter);
  const at = laneAt(lanes, place);
  if (at === null) return { jobs: [], cursor: null };
  const request = {
    jobPrefix: keys.jobPrefix,
    before: String(at.before),
    limit: Math.min(limit, maxLookedAt),
    statuses: at.lane.statuses,
    worker: filter.worker,
    type: at.lane.type,
    user: filter.userId,
    createdBefore: filter.createdBeforeMs,
  };
  const call = { keys: [at.lane.place], args: [JSON.stringify(request)] };
  const [found, last] = replies.matchAnswer.parse(await client.run("match", call));
  return {
    jobs: found.map(([jobId, status, error]) => ({
      jobId,
      status,
      permanent: status === "failed" && error !== undefined && isPermanent(error),
    })),
    cursor: placeAfter(lanes, at.lane.key, last === "" ? null : Number(last)),
  };
}

/** How long an attempt runs at most: the result of one that has lost contact is kept by its container for that long more. */
const maxRunSeconds = 86_400;

/** @param keepSeconds how long a container delivers a result of a job that the queue does not know any more */
export async function discardJobs(
  client: RestClient,
  keys: Keys,
  keepSeconds: number,
  jobIds: readonly string[],
): Promise<DiscardOutcome[]> {
  if (jobIds.length === 0) return [];
  const { jobPrefix, logsPrefix, failedPrefix, timetable, index, failures, discarded } = keys;
  const settings = JSON.stringify({
    jobPrefix,
    logsPrefix,
    failedPrefix,
    rememberSeconds: keepSeconds + maxRunSeconds,
  });
  const call = { keys: [timetable, index, failures, discarded], args: [settings, ...jobIds] };
  return replies.discardAnswer.parse(await client.run("discard", call));
}

export async function readFailureGroups(client: RestClient, keys: Keys): Promise<FailureGroup[]> {
  const { jobPrefix, failedPrefix, failures } = keys;
  // Each group is there twice: what would fail again, and what would not.
  const args = [JSON.stringify({ jobPrefix, failedPrefix, limit: 2 * maxFailureGroups })];
  const [groups] = replies.failuresAnswer.parse(await client.run("failures", { keys: [failures], args }));
  const byName = Map.groupBy(groups, ({ name: { worker, code, type } }) => JSON.stringify([worker, code, type]));
  return [...byName.values()].flatMap((halves) => {
    const [first] = halves;
    const newest = halves.toSorted((one, other) => other.arrival - one.arrival)[0];
    if (first === undefined || newest === undefined) return [];
    const { worker, code, type } = first.name;
    const jobsOf = (wanted: typeof halves) => wanted.reduce((sum, { jobs }) => sum + jobs, 0);
    const permanent = halves.filter(({ name }) => name.permanent || isPermanentCode(code));
    return {
      worker,
      code,
      type,
      jobs: jobsOf(halves),
      permanent: jobsOf(permanent),
      lastAtMs: first.lastAtMs,
      newest: newest.error === undefined ? null : { jobId: newest.jobId, message: newest.error.message },
    };
  });
}

/** Once a day: jobs that a container of an earlier version has failed are in no group. */
export async function fileFailures(client: RestClient, keys: Keys): Promise<void> {
  const { jobPrefix, failedPrefix, index, failures, failuresFiled } = keys;
  const claim = await client.command("file-failures", ["SET", failuresFiled, "1", "NX", "EX", String(filedForSeconds)]);
  if (claim !== "OK") return;
  for (let from = "0"; from !== ""; ) {
    const args = [JSON.stringify({ jobPrefix, failedPrefix, from, limit: filedAtOnce })];
    [from] = replies.pruneAnswer.parse(await client.run("file-failures", { keys: [index, failures], args }));
  }
}

async function lanesOf(client: RestClient, keys: Keys, filter: JobFilter): Promise<Lane[]> {
  const others = filter.statuses.filter((status) => status !== "failed");
  const all = { key: "index", place: keys.index, statuses: others, type: filter.type };
  const lanes: Lane[] = others.length > 0 && filter.code === undefined ? [all] : [];
  if (!filter.statuses.includes("failed")) return lanes;
  const names = replies.groupNames.parse(await client.command("match", ["ZRANGE", keys.failures, "0", "-1"]));
  const wanted = names.filter(
    ({ worker, code, type }) =>
      (filter.worker ?? worker) === worker &&
      (filter.code ?? code) === code &&
      (filter.type === undefined || filter.type === type || type === otherTypes),
  );
  return [
    ...lanes,
    ...wanted.map(({ name, type }) => ({
      key: `failed:${name}`,
      place: keys.failed(name),
      statuses: ["failed"],
      type: type === filter.type ? undefined : filter.type,
    })),
  ];
}
