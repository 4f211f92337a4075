import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import * as sql from "./sql.ts";
import { openHarness, type SqliteHarness } from "./testing/sqlite-harness.ts";

const planRow = z.object({ detail: z.string() });
const { jobPage, ...statements } = sql;

let harness: SqliteHarness;
beforeAll(async () => {
  harness = await openHarness();
});
afterAll(() => harness.close());

function planOf(statement: string): string[] {
  return harness.database
    .query(`EXPLAIN QUERY PLAN ${statement}`, planRow)
    .all()
    .map((row) => row.detail);
}

/** Steps that read a whole table. A scan of an index is listed too, unless the index holds only what is asked for. */
const onlyWhatIsAskedFor = /USING (COVERING )?INDEX jobs_to_(take|count)$/;

function scansOf(statement: string): string[] {
  return planOf(statement).filter(
    (step) => /^SCAN (jobs|candidate|attempts|idempotency_keys)\b/.test(step) && !onlyWhatIsAskedFor.test(step),
  );
}

describe("query plans", () => {
  test.each(Object.entries(statements))("%s reads no whole table", (_name, statement) => {
    expect(scansOf(statement)).toEqual([]);
  });

  test.each([
    ["expireAttempts", "jobs_leased (lease_expires_at_ms<?)"],
    ["requeueExpired", "jobs_leased (lease_expires_at_ms<?)"],
    ["promoteDue", "jobs_to_promote (available_at_ms<?)"],
    ["jobsAhead", "jobs_to_take (worker=? AND priority>?)"],
    ["anyDue", "COVERING INDEX jobs_to_take"],
    ["nextMoment", "jobs_to_promote (available_at_ms>?)"],
    ["nextMoment", "jobs_leased (lease_expires_at_ms>?)"],
    ["pruneSettled", "jobs_to_prune (settled_at_ms>? AND settled_at_ms<?)"],
  ] as const)("%s does not read jobs that it is not about: %s", (name, index) => {
    expect(planOf(statements[name])).toContainEqual(expect.stringContaining(index));
  });

  test("take finds the head of a queue and its neighbours by index alone", () => {
    const plan = planOf(sql.leaseNext);
    expect(plan).toContainEqual(
      expect.stringMatching(/^SEARCH jobs USING (COVERING )?INDEX jobs_to_take \(worker=\?\)/),
    );
    expect(plan).toContainEqual(
      expect.stringContaining("jobs_to_take (worker=? AND priority=? AND sequence>? AND sequence<?)"),
    );
    expect(plan).toContainEqual("SEARCH jobs USING INTEGER PRIMARY KEY (rowid=?)");
  });

  test.each([
    [{ worker: false, status: false, type: false, userId: false }, /PRIMARY KEY \(rowid<\?\)/],
    [{ worker: false, status: true, type: false, userId: false }, /jobs_by_status \(status=\? AND rowid<\?\)/],
    [{ worker: false, status: false, type: true, userId: false }, /jobs_by_type \(type=\? AND rowid<\?\)/],
    [{ worker: false, status: false, type: false, userId: true }, /jobs_by_user \(user_id=\? AND rowid<\?\)/],
    [{ worker: false, status: true, type: true, userId: true }, /jobs_by_(status|type|user)/],
    [{ worker: true, status: true, type: false, userId: false }, /jobs_by_status \(status=\? AND rowid<\?\)/],
  ])("a page with the filters %j comes in order out of its index", (used, index) => {
    const plan = planOf(jobPage(used));
    expect(plan).toEqual([expect.stringMatching(index)]);
  });
});
