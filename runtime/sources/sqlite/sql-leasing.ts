/*
 * Statements that find and lease the next job of a worker: highest priority, then the oldest, of those that the caller
 * offers to run. The first of all is found by one look into an index; only when it is not among those, the first of each
 * need that is offered is looked for. Neither depends on how many jobs stand before.
 *
 * Whose jobs are to be skipped is given as `[[user, type], …]`. Of the first 1,000 jobs the first that is not among theirs
 * is found exactly. Where there is none, the first of each user, type and model is looked for, of 300 of these: what one
 * user has waiting costs one look, however much it is.
 */
const isSkipped = (job: string) =>
  `(${job}.user_id, ${job}.type) IN (SELECT value ->> 0, value ->> 1 FROM json_each(:skip))`;

const isCovered = (job: string) => `
  (:offer IS NULL
   OR ${job}.type IN (SELECT value FROM json_each(:offer, '$.types'))
      AND iif(coalesce(${job}.model_variant, '') = '',
              ${job}.type IN (SELECT value FROM json_each(:offer, '$.defaultModelTypes')),
              ${job}.model_variant IN (SELECT value FROM json_each(:offer, '$.models'))))`;

export const isPaused = "SELECT EXISTS (SELECT 1 FROM paused_queues WHERE worker = :worker) AS answer";

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

/** The first of the jobs that stand in front, offered and not skipped. */
export const firstUnskipped = `
  SELECT sequence, priority, user_id, type, model_variant
    FROM (SELECT sequence, priority, user_id, type, model_variant
            FROM jobs INDEXED BY jobs_to_take
           WHERE worker = :worker AND status = 'queued' AND due = 1
           ORDER BY priority DESC, sequence
           LIMIT 1000) AS job
   WHERE NOT ${isSkipped("job")} AND ${isCovered("job")}
   ORDER BY priority DESC, sequence
   LIMIT 1`;

const ownerAt = (place: string) => `
  (SELECT sequence FROM jobs INDEXED BY jobs_by_owner
    WHERE worker = :worker AND status = 'queued' AND due = 1 AND ${place}
    ORDER BY user_id, type, coalesce(model_variant, '')
    LIMIT 1)`;

const nextModel = ownerAt(
  "user_id = owners.user_id AND type = owners.type AND coalesce(model_variant, '') > owners.model_variant",
);
/** With a column as such on the right, the index would be used for the first of the two alone. */
const nextOwner = ownerAt("(user_id, type) > (+owners.user_id, +owners.type)");

/** The first of the others, wherever it stands. What is skipped, or of a type that is not offered, is passed over at one step. */
export const firstOfOthers = `
  WITH RECURSIVE owners (place, user_id, type, model_variant, is_passed) AS (
    SELECT 0, '', '', '', 1
     UNION ALL
    SELECT owners.place + 1, job.user_id, job.type, coalesce(job.model_variant, ''),
           ${isSkipped("job")} OR NOT (:offer IS NULL OR job.type IN (SELECT value FROM json_each(:offer, '$.types')))
      FROM owners
      JOIN jobs AS job ON job.sequence = coalesce(iif(owners.is_passed, NULL, ${nextModel}), ${nextOwner})
     WHERE owners.place < 300)
  SELECT jobs.sequence, jobs.priority, jobs.user_id, jobs.type, jobs.model_variant
    FROM owners
    JOIN jobs ON jobs.sequence = (
           SELECT candidate.sequence
             FROM jobs AS candidate INDEXED BY jobs_by_owner
            WHERE candidate.worker = :worker AND candidate.user_id = owners.user_id AND candidate.type = owners.type
              AND coalesce(candidate.model_variant, '') = owners.model_variant
              AND candidate.status = 'queued' AND candidate.due = 1
            ORDER BY candidate.priority DESC, candidate.sequence
            LIMIT 1)
   WHERE NOT owners.is_passed AND ${isCovered("owners")}
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
              AND ${isCovered("candidate")} AND NOT ${isSkipped("candidate")}
            ORDER BY coalesce(candidate.model_variant IN (SELECT value FROM json_each(:held_models)), 0) DESC,
                     candidate.sequence
            LIMIT 1)
  ${leased}`;
