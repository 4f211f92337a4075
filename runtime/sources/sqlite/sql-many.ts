/*
 * Statements of changes of many jobs. Each page looks at a fixed number of rows, in the order of an index: a filter that
 * nothing matches takes as long as one that everything matches.
 */

const matches = `
         ((:worker IS NULL OR worker = :worker) AND (:type IS NULL OR type = :type)
          AND (:user_id IS NULL OR user_id = :user_id)
          AND (:created_before_ms IS NULL OR created_at_ms < :created_before_ms)) AS matches`;

export const matchInState = `
  SELECT sequence, id, status, iif(status = 'failed', error, NULL) AS error, ${matches}
    FROM jobs INDEXED BY jobs_by_status
   WHERE status = :status AND sequence < :before
   ORDER BY sequence DESC LIMIT :limit`;

export const matchInGroup = `
  SELECT sequence, id, status, error, ${matches}
    FROM jobs INDEXED BY jobs_failed
   WHERE status = 'failed' AND worker = :group_worker AND error_code = :group_code AND type = :group_type
     AND sequence < :before
   ORDER BY sequence DESC LIMIT :limit`;

/** An end that no container has reported keeps its job. */
export const ended = "SELECT status, report_at_ms IS NULL AS is_reported FROM jobs WHERE id = :id";

export const deleteJob = "DELETE FROM jobs WHERE id = :id";

export const failureGroups = `
  SELECT worker, code, type, jobs, permanent, last_ms FROM failure_groups
   WHERE (:worker IS NULL OR worker = :worker) AND (:code IS NULL OR code = :code) AND (:type IS NULL OR type = :type)
   ORDER BY last_ms DESC LIMIT :limit`;

export const newestFailure = `
  SELECT id, error FROM jobs INDEXED BY jobs_failed
   WHERE status = 'failed' AND worker = :worker AND error_code = :code AND type = :type
   ORDER BY sequence DESC LIMIT 1`;
