import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import * as sql from "./sql.ts";
import * as endsSql from "./sql-ends.ts";
import * as leasingSql from "./sql-leasing.ts";
import * as manySql from "./sql-many.ts";
import { openHarness, type SqliteHarness } from "./testing/sqlite-harness.ts";

const planRow = z.object({ detail: z.string() });
const { jobPage, jobPageSizes, ...coreSql } = sql;
const statements = { ...coreSql, ...leasingSql, ...endsSql, ...manySql };

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

/** Steps that read a whole table. A scan of an index is listed too, unless the index holds only what is requested. */
const onlyRequestedRows = /USING (COVERING )?INDEX jobs_to_(take|count)$/;

function scansOf(statement: string): string[] {
  return planOf(statement).filter(
    (step) => /^SCAN (jobs|candidate|attempts|idempotency_keys)\b/.test(step) && !onlyRequestedRows.test(step),
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
    ["nextMoment", "jobs_to_expire (expires_at_ms>?)"],
    ["nextMoment", "jobs_to_report (report_at_ms>?)"],
    ["firstDue", "jobs_to_take (worker=?)"],
    ["firstOffered", "jobs_by_need (worker=? AND type=? AND model_variant=?)"],
    ["leaseFrom", "jobs_to_take (worker=? AND priority=? AND sequence>? AND sequence<?)"],
    ["firstUnskipped", "jobs_to_take (worker=?)"],
    ["firstOfOthers", "jobs_by_owner (worker=? AND (user_id,type)>(?,?))"],
    ["firstOfOthers", "jobs_by_owner (worker=? AND user_id=? AND type=? AND <expr>>?)"],
    ["firstOfOthers", "jobs_by_owner (worker=? AND user_id=? AND type=? AND <expr>=?)"],
    ["leaseExactly", "SEARCH jobs USING INTEGER PRIMARY KEY (rowid=?)"],
    ["anyMomentPassed", "jobs_leased (lease_expires_at_ms<?)"],
    ["anyMomentPassed", "jobs_to_promote (available_at_ms<?)"],
    ["anyMomentPassed", "jobs_to_expire (expires_at_ms>? AND expires_at_ms<?)"],
    ["anyMomentPassed", "jobs_to_report (report_at_ms>? AND report_at_ms<?)"],
    ["overdue", "jobs_to_expire (expires_at_ms>? AND expires_at_ms<?)"],
    ["claimEnds", "jobs_to_report (report_at_ms>? AND report_at_ms<?)"],
    ["anyEndToReport", "jobs_to_report (report_at_ms>? AND report_at_ms<?)"],
    ["needsOfDue", "jobs_to_take (worker=?)"],
    ["needsOfDue", "jobs_to_promote (available_at_ms<?)"],
    ["matchInState", "jobs_by_status (status=? AND rowid<?)"],
    ["matchInGroup", "jobs_failed (worker=? AND error_code=? AND type=? AND rowid<?)"],
    ["newestFailure", "jobs_failed (worker=? AND error_code=? AND type=?)"],
    ["pruneSettled", "jobs_to_prune (settled_at_ms>? AND settled_at_ms<?)"],
  ] as const)("%s does not read jobs that it is not about: %s", (name, index) => {
    expect(planOf(statements[name])).toContainEqual(expect.stringContaining(index));
  });

  test.each(["firstOffered", "firstOfOthers", "leaseFrom"] as const)(
    "%s reads the rows that it has found by an index alone",
    (name) => {
      expect(planOf(statements[name])).toContainEqual("SEARCH jobs USING INTEGER PRIMARY KEY (rowid=?)");
    },
  );

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
