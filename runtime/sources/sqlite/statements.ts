import type { Database } from "#runtime/lib/database/database.ts";
import * as rows from "./rows.ts";
import * as sql from "./sql.ts";

/** Prepares what a producer and an operator need, once a connection. */
export function prepareQueueStatements(database: Database) {
  return {
    expireAttempts: database.command(sql.expireAttempts),
    requeueExpired: database.command(sql.requeueExpired),
    jobByKey: database.query(sql.jobByKey, rows.jobRow),
    jobById: database.query(sql.jobById, rows.jobRow),
    insertJob: database.query(sql.insertJob, rows.jobRow),
    insertKey: database.command(sql.insertKey),
    jobsAhead: database.query(sql.jobsAhead, rows.aheadRow),
    cancelJob: database.command(sql.cancelJob),
    redriveJob: database.query(sql.redriveJob, rows.sequenceRow),
    forgetAttempts: database.command(sql.forgetAttempts),
    attemptsOf: database.query(sql.attemptsOf, rows.attemptRow),
    queueCounts: database.query(sql.queueCounts, rows.countsRow),
    pruneSettled: database.command(sql.pruneSettled),
  };
}

/** Prepares what the holder of leases needs. */
export function prepareLeaseStatements(database: Database) {
  return {
    promoteDue: database.command(sql.promoteDue),
    leaseNext: database.query(sql.leaseNext, rows.leasedRow),
    insertAttempt: database.command(sql.insertAttempt),
    renewLease: database.query(sql.renewLease, rows.renewedRow),
    reviveAttempt: database.command(sql.reviveAttempt),
    restorePreviousError: database.command(sql.restorePreviousError),
    endJob: database.command(sql.endJob),
    requeueJob: database.query(sql.requeueJob, rows.requeuedRow),
    endAttempt: database.command(sql.endAttempt),
    attemptOutcome: database.query(sql.attemptOutcome, rows.outcomeRow),
  };
}

/** Prepares what tells a waiting loop that there is something for it. */
export function prepareChangeStatements(database: Database) {
  return {
    anyDue: database.query(sql.anyDue, rows.answerRow),
    nextMoment: database.query(sql.nextMoment, rows.momentRow),
    anyEnded: database.query(sql.anyEnded, rows.answerRow),
  };
}
