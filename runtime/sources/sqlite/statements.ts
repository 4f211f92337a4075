import type { Database } from "#runtime/lib/database/database.ts";
import * as rows from "./rows.ts";
import * as sql from "./sql.ts";
import * as endsSql from "./sql-ends.ts";
import * as leasingSql from "./sql-leasing.ts";
import * as manySql from "./sql-many.ts";

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
    waitingJobs: database.query(sql.waitingJobs, rows.jobRow),
    waitingSizes: database.query(sql.waitingSizes, rows.sizeRow),
    setPriority: database.command(sql.setPriority),
    pauseQueue: database.command(sql.pauseQueue),
    resumeQueue: database.command(sql.resumeQueue),
    pausedQueues: database.query(sql.pausedQueues, rows.pausedRow),
    statusOf: database.query(sql.statusOf, rows.statusRow),
    redriveJob: database.command(sql.redriveJob),
    forgetAttempts: database.command(sql.forgetAttempts),
    attemptsOf: database.query(sql.attemptsOf, rows.attemptRow),
    queueCounts: database.query(sql.queueCounts, rows.countsRow),
    pruneSettled: database.command(sql.pruneSettled),
  };
}

/** Prepares what the holder of leases needs. */
export function prepareLeaseStatements(database: Database) {
  return {
    anyMomentPassed: database.query(endsSql.anyMomentPassed, rows.answerRow),
    promoteDue: database.command(sql.promoteDue),
    renewLease: database.query(sql.renewLease, rows.renewedRow),
    reviveAttempt: database.command(sql.reviveAttempt),
    restorePreviousError: database.command(sql.restorePreviousError),
    endJob: database.command(sql.endJob),
    requeueJob: database.query(sql.requeueJob, rows.requeuedRow),
    endAttempt: database.command(sql.endAttempt),
    noteDelivery: database.command(sql.noteDelivery),
    attemptOutcome: database.query(sql.attemptOutcome, rows.outcomeRow),
  };
}

/** Prepares what finds and leases the next job. */
export function prepareLeasingStatements(database: Database) {
  return {
    isPaused: database.query(leasingSql.isPaused, rows.answerRow),
    firstDue: database.query(leasingSql.firstDue, rows.firstRow),
    firstOffered: database.query(leasingSql.firstOffered, rows.firstRow),
    firstUnskipped: database.query(leasingSql.firstUnskipped, rows.firstRow),
    firstOfOthers: database.query(leasingSql.firstOfOthers, rows.firstRow),
    leaseExactly: database.query(leasingSql.leaseExactly, rows.leasedRow),
    leaseFrom: database.query(leasingSql.leaseFrom, rows.leasedRow),
    insertAttempt: database.command(sql.insertAttempt),
  };
}

/** Prepares what is needed for jobs that end while no attempt runs. */
export function prepareEndStatements(database: Database) {
  return {
    overdue: database.query(endsSql.overdue, rows.overdueRow),
    expireJob: database.command(endsSql.expireJob),
    claimEnds: database.query(endsSql.claimEnds, rows.endRow),
    endReported: database.command(endsSql.endReported),
  };
}

/** Prepares what is needed to announce offers and to find what no container offers. */
export function prepareOfferStatements(database: Database) {
  return {
    withdrawOffers: database.command(endsSql.withdrawOffers),
    insertOffer: database.command(endsSql.insertOffer),
    liveOffers: database.query(endsSql.liveOffers, rows.offerRow),
    needsOfDue: database.query(endsSql.needsOfDue, rows.needRow),
  };
}

/** Prepares what notifies a waiting loop that there is something for it. */
export function prepareChangeStatements(database: Database) {
  return {
    anyDue: database.query(sql.anyDue, rows.answerRow),
    nextMoment: database.query(sql.nextMoment, rows.momentRow),
    anyEndToReport: database.query(sql.anyEndToReport, rows.answerRow),
    anyEnded: database.query(sql.anyEnded, rows.answerRow),
  };
}

/** Prepares what changes many jobs, or counts them. */
export function prepareManyStatements(database: Database) {
  return {
    matchInState: database.query(manySql.matchInState, rows.matchedRow),
    matchInGroup: database.query(manySql.matchInGroup, rows.matchedRow),
    ended: database.query(manySql.ended, rows.endedRow),
    deleteJob: database.command(manySql.deleteJob),
    failureGroups: database.query(manySql.failureGroups, rows.failureGroupRow),
    newestFailure: database.query(manySql.newestFailure, rows.newestFailureRow),
  };
}
