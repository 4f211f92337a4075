/*
 * Statements that find and lease the next job of a worker: highest priority, then the oldest, of those that the caller
 * offers to run. The first of all is found by one look into an index; only when it is not among those, the first of each
 * need that is offered is looked for. Neither depends on how many jobs stand before.
 */

/** The first job of the queue, offered or not. */
export const firstDue = `
  SELECT sequence, priority, user_id, type, model_variant
    FROM jobs INDEXED BY jobs_to_take
   WHERE worker = :worker AND status = 'queued' AND due = 1
   ORDER BY priority DESC, sequence
   LIMIT 1`;

/** The first job that an offer covers. */
export const firstOffered = `
  SELECT jobs.sequence, jobs.priority, jobs.user_id, jobs.type, jobs.model_variant
    FROM (SELECT types.value AS type, models.value AS model
            FROM json_each(:offer, '$.types') AS types, json_each(:offer, '$.models') AS models
           UNION ALL
          SELECT value, NULL FROM json_each(:offer, '$.defaultModelTypes')
           WHERE value IN (SELECT value FROM json_each(:offer, '$.types'))) AS need
    JOIN jobs ON jobs.sequence = (
           SELECT candidate.sequence
             FROM jobs AS candidate INDEXED BY jobs_by_need
            WHERE candidate.worker = :worker AND candidate.type = need.type AND candidate.model_variant IS need.model
              AND candidate.status = 'queued' AND candidate.due = 1
            ORDER BY candidate.priority DESC, candidate.sequence
            LIMIT 1)
   ORDER BY jobs.priority DESC, jobs.sequence
   LIMIT 1`;

const lease = `
  UPDATE jobs
     SET status = 'running', attempt = attempt + 1, lease_token = :token, lease_expires_at_ms = :expires_at_ms`;
const leased = "RETURNING sequence, id, body, attempt, run, available_at_ms, error";

/** Leases that job. */
export const leaseExactly = `
  ${lease}
   WHERE sequence = :sequence
  ${leased}`;

/**
 * Leases that job, or a younger one for a model that the executor holds: one of the same priority and user among the 32 that
 * arrived from there on. The window is counted in arrivals, not in rows of the queue: jobs that come later never widen it,
 * so a job is passed over by 31 at the most and cannot starve.
 */
export const leaseFrom = `
  ${lease}
   WHERE sequence = (
           SELECT candidate.sequence
             FROM jobs AS candidate INDEXED BY jobs_to_take
            WHERE candidate.worker = :worker AND candidate.status = 'queued' AND candidate.due = 1
              AND candidate.priority = :priority
              AND candidate.sequence BETWEEN :sequence AND :sequence + 31
              AND candidate.user_id = :user_id
              AND (:offer IS NULL
                   OR candidate.type IN (SELECT value FROM json_each(:offer, '$.types'))
                      AND iif(candidate.model_variant IS NULL,
                              candidate.type IN (SELECT value FROM json_each(:offer, '$.defaultModelTypes')),
                              candidate.model_variant IN (SELECT value FROM json_each(:offer, '$.models'))))
            ORDER BY coalesce(candidate.model_variant IN (SELECT value FROM json_each(:held_models)), 0) DESC,
                     candidate.sequence
            LIMIT 1)
  ${leased}`;
