import type { Keys } from "#contract/queue-keys.ts";
import type { Renewal, RenewalOutcome } from "../job-source.ts";
import type { HeldLeases } from "./held-leases.ts";
import { leaseScore } from "./lease-score.ts";
import { renewAnswer } from "./replies.ts";
import type { RestClient } from "./rest-client.ts";
import type { ServerClock } from "./server-clock.ts";

export interface Renewing {
  readonly client: RestClient;
  readonly keys: Keys;
  readonly leaseSeconds: number;
  readonly clock: ServerClock;
  readonly held: HeldLeases;
}

const outcomes = ["lost", "held", "cancelled", "unknown"] as const;

/**
 * Renews leases, at the price of one command for all of them together: the timetable takes the new times of those that
 * it still has, and answers how many that were. Only when some were missing (their job was cancelled, or the lease ran out)
 * the script finds out which.
 */
export async function renewLeases(renewing: Renewing, renewals: readonly Renewal[]): Promise<RenewalOutcome[]> {
  if (renewals.length === 0) return [];
  if (await renewPlainly(renewing, renewals)) return renewals.map(() => "held");
  return renewOneByOne(renewing, renewals);
}

async function renewPlainly({ client, keys, leaseSeconds, clock, held }: Renewing, renewals: readonly Renewal[]) {
  const nowMs = clock.nowMs();
  const known = renewals.map(({ lease }) => held.get(lease.token));
  if (nowMs === undefined || known.some((lease) => lease === undefined || lease.isSuspect)) return false;
  const scoresAndMembers = renewals.flatMap(({ progress }, place) => {
    const lease = known[place];
    if (lease === undefined) return [];
    lease.progress = progress ?? lease.progress;
    return [String(leaseScore(nowMs + leaseSeconds * 1000, lease.progress)), lease.member];
  });
  // XX: only what is there. GT: a repeated request never shortens a lease. CH: count what was renewed.
  const command: [string, ...string[]] = ["ZADD", keys.timetable, "XX", "GT", "CH", ...scoresAndMembers];
  return Number(await client.command("renew", command)) === renewals.length;
}

async function renewOneByOne({ client, keys, leaseSeconds, clock, held }: Renewing, renewals: readonly Renewal[]) {
  const { jobPrefix, readyPrefix, parkedPrefix } = keys;
  const settings = JSON.stringify({ jobPrefix, readyPrefix, parkedPrefix, leaseMs: leaseSeconds * 1000 });
  const leases = renewals.flatMap(({ lease, progress }) => {
    const known = held.get(lease.token)?.progress;
    return [lease.jobId, lease.token, String(progress ?? known ?? "")];
  });
  const answer = await client.run("renew", { keys: [keys.timetable, keys.discarded], args: [settings, ...leases] });
  const [answers, nowMs] = renewAnswer.parse(answer);
  clock.hear(nowMs);
  return renewals.map(({ lease, progress }, place) => {
    const outcome = outcomes[answers[place] ?? 0] ?? "lost";
    const known = held.get(lease.token);
    if (outcome === "lost") held.letGo(lease.token);
    if (known === undefined) return outcome;
    known.progress = progress ?? known.progress;
    known.isSuspect = outcome === "cancelled";
    return outcome;
  });
}
