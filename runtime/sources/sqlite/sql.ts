/*
 * Every statement of the embedded source, one per step of an operation. Those that change rows run inside a
 * transaction that holds the write lock (Database.write), so that reading and then writing is safe.
 *
 * INDEXED BY stands where SQLite, which knows nothing of how many jobs are in which state, would rather read all queued
 * jobs by the index on `status`.
 */

// ---- leases: take and renew

/** Leases that ran out: the attempt is over and charged. Runs before `requeueExpired`, which empties the list. */
export const expireAttempts = `
  UPDATE attempts
     SET outcome = 'expired', ended_at_ms = :now_ms, error = :error
   WHERE token IN (SELECT lease_token FROM jobs INDEXED BY jobs_leased
                    WHERE status = 'running' AND lease_expires_at_ms <= :now_ms)`;

/**
 * Their jobs wait again, from the moment that the lease ran out, and keep the token; those whose cancel was requested end,
 * and nobody has reported it.
 */
export const requeueExpired = `
  UPDATE jobs INDEXED BY jobs_leased
     SET status = iif(cancel_requested, 'cancelled', 'queued'),
         settled_at_ms = iif(cancel_requested, :now_ms, NULL),
         report_at_ms = iif(cancel_requested, :now_ms, NULL),
         lease_token = iif(cancel_requested, NULL, lease_token),
         error = iif(cancel_requested, NULL, :error),
         available_at_ms = lease_expires_at_ms,
         lease_expires_at_ms = NULL,
         progress = NULL
   WHERE status = 'running' AND lease_expires_at_ms <= :now_ms`;

/** Delays that are over. */
export const promoteDue = `
  UPDATE jobs INDEXED BY jobs_to_promote
     SET due = 1
   WHERE status = 'queued' AND due = 0 AND available_at_ms <= :now_ms`;

export const insertAttempt = `
  INSERT INTO attempts (token, job_sequence, attempt, worker_id, started_at_ms)
  VALUES (:token, :sequence, :attempt, :worker_id, :now_ms)`;

/** Renews the newest lease, also one that ran out and whose job nobody has taken since. */
export const renewLease = `
  UPDATE jobs
     SET status = 'running', lease_expires_at_ms = :expires_at_ms, progress = coalesce(:progress, progress)
   WHERE id = :id AND lease_token = :token
  RETURNING sequence, cancel_requested`;

/** The other half of renewing a lease that had run out: its attempt goes on … */
export const reviveAttempt = `
  UPDATE attempts
     SET outcome = 'running', ended_at_ms = NULL, error = NULL
   WHERE token = :token AND outcome = 'expired'`;

/** … and the job's error is again that of the attempt before. Also for an attempt that was given back. */
export const restorePreviousError = `
  UPDATE jobs
     SET error = (SELECT error FROM attempts WHERE job_sequence = :sequence AND error IS NOT NULL
                   ORDER BY rowid DESC LIMIT 1)
   WHERE sequence = :sequence`;

// ---- settling: each is fenced by the token

export const endJob = `
  UPDATE jobs
     SET status = :status, settled_at_ms = :now_ms, result = :result, error = :error,
         progress = iif(:status = 'completed', 1, progress),
         lease_token = NULL, lease_expires_at_ms = NULL
   WHERE id = :id AND lease_token = :token`;

/** Back to the queue, or to the end if a cancel was requested: the caller reports it, or after one lease time another. */
export const requeueJob = `
  UPDATE jobs
     SET status = iif(cancel_requested, 'cancelled', 'queued'),
         settled_at_ms = iif(cancel_requested, :now_ms, NULL),
         report_at_ms = iif(cancel_requested, :report_at_ms, NULL),
         error = iif(cancel_requested, NULL, :error),
         due = :available_at_ms <= :now_ms,
         available_at_ms = :available_at_ms,
         attempt = attempt - :given_back,
         progress = NULL, lease_token = NULL, lease_expires_at_ms = NULL
   WHERE id = :id AND lease_token = :token
  RETURNING sequence, status`;

export const endAttempt = `
  UPDATE attempts SET outcome = :outcome, ended_at_ms = :now_ms, error = :error, reason = :reason WHERE token = :token`;

export const noteDelivery = `
  UPDATE jobs SET delivery = :delivery WHERE id = :id AND lease_token = :token AND status = 'running'`;

/** How the lease of a token ended; separates a repeated settle from a late one. */
export const attemptOutcome = `
  SELECT attempts.outcome
    FROM attempts JOIN jobs ON jobs.sequence = attempts.job_sequence
   WHERE attempts.token = :token AND jobs.id = :id`;

// ---- the producer's side

export const jobByKey = `
  SELECT jobs.* FROM idempotency_keys JOIN jobs ON jobs.sequence = idempotency_keys.job_sequence
   WHERE idempotency_keys.user_id = :user_id AND idempotency_keys.key = :key`;

export const jobById = "SELECT * FROM jobs WHERE id = :id";

export const statusOf = "SELECT status FROM jobs WHERE id = :id";

export const insertJob = `
  INSERT INTO jobs (id, worker, type, user_id, model_variant, priority, body, due, created_at_ms, available_at_ms,
                    expires_at_ms)
  VALUES (:id, :worker, :type, :user_id, :model_variant, :priority, :body,
          :available_at_ms <= :now_ms, :now_ms, :available_at_ms, :expires_at_ms)
  RETURNING *`;

export const insertKey = `
  INSERT INTO idempotency_keys (user_id, key, job_sequence) VALUES (:user_id, :key, :sequence)
  ON CONFLICT DO NOTHING`;

/** How many go before a job; none is counted beyond `:limit`. */
export const jobsAhead = `
  SELECT (SELECT count(*) FROM
           (SELECT 1 FROM jobs INDEXED BY jobs_to_take
             WHERE worker = :worker AND status = 'queued' AND due = 1 AND priority > :priority LIMIT :limit))
       + (SELECT count(*) FROM
           (SELECT 1 FROM jobs INDEXED BY jobs_to_take
             WHERE worker = :worker AND status = 'queued' AND due = 1 AND priority = :priority
               AND sequence < :sequence LIMIT :limit)) AS ahead`;

const inOrder = `
    FROM jobs INDEXED BY jobs_to_take
   WHERE worker = :worker AND status = 'queued' AND due = 1
   ORDER BY priority DESC, sequence
   LIMIT :limit`;

export const waitingJobs = `SELECT * ${inOrder}`;

export const waitingSizes = `SELECT sequence, octet_length(body) + coalesce(octet_length(error), 0) AS bytes ${inOrder}`;

export const setPriority = "UPDATE jobs SET priority = :priority WHERE id = :id AND status = 'queued'";

export const pauseQueue = `
  INSERT INTO paused_queues (worker, since_ms) VALUES (:worker, :now_ms) ON CONFLICT DO NOTHING`;

export const resumeQueue = "DELETE FROM paused_queues WHERE worker = :worker";

export const pausedQueues = "SELECT worker, since_ms FROM paused_queues";

/** A queued job ends at once, a running one when its container hears of it. Jobs that are settled, or delivered, are not touched. */
export const cancelJob = `
  UPDATE jobs
     SET cancel_requested = 1,
         settled_at_ms = iif(status = 'queued', :now_ms, NULL),
         report_at_ms = iif(status = 'queued', :now_ms, NULL),
         error = iif(status = 'queued', NULL, error),
         lease_token = iif(status = 'queued', NULL, lease_token),
         status = iif(status = 'queued', 'cancelled', status)
   WHERE id = :id AND status IN ('queued', 'running') AND delivery IS NULL`;

export const redriveJob = `
  UPDATE jobs
     SET status = 'queued', due = 1, run = run + 1, attempt = 0, cancel_requested = 0, progress = NULL, error = NULL,
         settled_at_ms = NULL, report_at_ms = NULL, available_at_ms = :now_ms, expires_at_ms = :expires_at_ms
   WHERE sequence = :sequence`;

export const forgetAttempts = "DELETE FROM attempts WHERE job_sequence = :sequence";

export const attemptsOf = `
  SELECT job_sequence, attempt, worker_id, started_at_ms, ended_at_ms, outcome, error, reason
    FROM attempts
   WHERE job_sequence IN (SELECT value FROM json_each(:sequences))
   ORDER BY job_sequence, rowid`;

export interface UsedConditions {
  readonly worker: boolean;
  readonly status: boolean;
  readonly type: boolean;
  readonly userId: boolean;
}

/** Newest first. Only the conditions that are used are in the text, so that each combination finds its index. */
export function jobPage(used: UsedConditions): string {
  return `SELECT * FROM jobs WHERE ${pageConditions(used)} ORDER BY sequence DESC LIMIT :limit`;
}

/** How much each job of the page holds. The lengths stand in the rows' heads: nothing of the texts is read. */
export function jobPageSizes(used: UsedConditions): string {
  return `
    SELECT sequence, octet_length(body) + coalesce(octet_length(result), 0) + coalesce(octet_length(error), 0) AS bytes
      FROM jobs WHERE ${pageConditions(used)} ORDER BY sequence DESC LIMIT :limit`;
}

function pageConditions(used: UsedConditions): string {
  return [
    "sequence < :before",
    ...(used.worker ? ["worker = :worker"] : []),
    ...(used.status ? ["status = :status"] : []),
    ...(used.type ? ["type = :type"] : []),
    ...(used.userId ? ["user_id = :user_id"] : []),
  ].join(" AND ");
}

export const queueCounts = `
  SELECT worker,
         count(*) FILTER (WHERE status = 'queued' AND available_at_ms <= :now_ms) AS queued,
         count(*) FILTER (WHERE status = 'queued' AND available_at_ms > :now_ms) AS delayed,
         count(*) FILTER (WHERE status = 'running') AS running,
         count(*) FILTER (WHERE status = 'failed') AS failed,
         min(available_at_ms) FILTER (WHERE status = 'queued' AND available_at_ms <= :now_ms) AS oldest_ms
    FROM jobs
   WHERE status NOT IN ('completed', 'cancelled')
   GROUP BY worker
   ORDER BY worker`;

export const pruneSettled = `
  DELETE FROM jobs
   WHERE sequence IN (SELECT sequence FROM jobs WHERE settled_at_ms IS NOT NULL AND settled_at_ms < :before_ms LIMIT :limit)`;

// ---- waiting

export const anyDue = `
  SELECT EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_to_take WHERE status = 'queued' AND due = 1) AS answer`;

/**
 * The next moment after `after_ms` at which a delay ends, a lease of somebody else runs out, a job expires, or an end that
 * was given to a container to report is given to another.
 */
export const nextMoment = `
  SELECT min(at_ms) AS at_ms FROM (
    SELECT min(available_at_ms) AS at_ms FROM jobs INDEXED BY jobs_to_promote
     WHERE status = 'queued' AND due = 0 AND available_at_ms > :after_ms
    UNION ALL
    SELECT min(lease_expires_at_ms) FROM jobs INDEXED BY jobs_leased
     WHERE status = 'running' AND lease_expires_at_ms > :after_ms
       AND lease_token NOT IN (SELECT value FROM json_each(:held_tokens))
    UNION ALL
    SELECT min(expires_at_ms) FROM jobs INDEXED BY jobs_to_expire
     WHERE status = 'queued' AND expires_at_ms IS NOT NULL AND expires_at_ms > :after_ms
    UNION ALL
    SELECT min(report_at_ms) FROM jobs INDEXED BY jobs_to_report
     WHERE report_at_ms IS NOT NULL AND report_at_ms > :after_ms)`;

export const anyEndToReport = `
  SELECT EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_to_report
                  WHERE report_at_ms IS NOT NULL AND report_at_ms <= :now_ms) AS answer`;

/** Whether one of these leases was lost, or its cancel requested. */
export const anyEnded = `
  SELECT EXISTS (
    SELECT 1
      FROM json_each(:tokens) AS held
      LEFT JOIN attempts ON attempts.token = held.value
      LEFT JOIN jobs ON jobs.sequence = attempts.job_sequence
     WHERE jobs.cancel_requested OR jobs.lease_token IS NOT held.value) AS answer`;
