import { isPermanent, isPermanentCode } from "#contract/errors.ts";
import type { DiscardOutcome, FailureGroup, JobFilter, MatchedPage } from "../job-source.ts";
import { laneAt, placeAfter, readPlace } from "../opaque-cursor.ts";
import * as replies from "./replies.ts";
import type { RpcClient } from "./rpc-client.ts";

const maxLookedAt = 500;

export async function matchJobs(
  client: RpcClient,
  source: string,
  filter: JobFilter,
  { limit, cursor }: { readonly limit: number; readonly cursor?: string | undefined },
): Promise<MatchedPage> {
  const place = readPlace(cursor);
  const lanes = filter.statuses
    .filter((status) => filter.code === undefined || status === "failed")
    .map((status) => ({ key: status, status }));
  const at = laneAt(lanes, place);
  if (at === null) return { jobs: [], cursor: null };
  const { worker, type, code, userId: user_id, createdBeforeMs: created_before_ms } = filter;
  const { status } = at.lane;
  const narrowed = { status, worker, type, code, user_id, created_before_ms, source };
  const args = () => ({ filter: { ...narrowed, limit: Math.min(limit, maxLookedAt), before: at.before } });
  const { jobs, last } = await client.call("match_jobs", { args, answer: replies.matched });
  return {
    jobs: jobs.map(({ job_id, status, error }) => ({
      jobId: job_id,
      status,
      permanent: error !== null && isPermanent(error),
    })),
    cursor: placeAfter(lanes, at.lane.key, last),
  };
}

/** @param jobIds UUIDs */
export async function discardJobs(
  client: RpcClient,
  source: string,
  jobIds: readonly string[],
): Promise<DiscardOutcome[]> {
  const args = () => ({ job_ids: jobIds, only_source: source });
  return client.call("discard_jobs", { args, answer: replies.discarded });
}

export async function readFailureGroups(client: RpcClient, source: string, most: number): Promise<FailureGroup[]> {
  const args = () => ({ only_source: source, most });
  const groups = await client.call("failure_groups", { args, answer: replies.failureGroups });
  return groups.map(({ last_at_ms, newest_id, newest_message, ...group }) => ({
    ...group,
    permanent: isPermanentCode(group.code) ? group.jobs : group.permanent,
    lastAtMs: last_at_ms,
    newest: { jobId: newest_id, message: newest_message },
  }));
}

/** Asks for those of the ids that can be one here, and puts the answers at their places; of the others there is no job. */
export async function forUuids<Outcome>(
  ids: readonly string[],
  isUuid: (id: string) => boolean,
  call: (ids: readonly string[]) => Promise<readonly Outcome[]>,
): Promise<(Outcome | "missing")[]> {
  const known = ids.filter(isUuid);
  const outcomes = known.length === 0 ? [] : await call(known);
  const byId = new Map(known.map((id, index) => [id, outcomes[index]]));
  return ids.map((id) => byId.get(id) ?? "missing");
}
