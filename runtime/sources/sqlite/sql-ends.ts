/* Statements about jobs that end while no attempt runs, and about what containers offer. */

/** Whether a take has anything to do beside leasing: a look at four indexes, many times cheaper than the statements for it. */
export const anyMomentPassed = `
  SELECT EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_leased
                  WHERE status = 'running' AND lease_expires_at_ms <= :now_ms)
      OR EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_to_promote
                  WHERE status = 'queued' AND due = 0 AND available_at_ms <= :now_ms)
      OR EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_to_expire
                  WHERE status = 'queued' AND expires_at_ms IS NOT NULL AND expires_at_ms <= :now_ms)
      OR EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_to_report
                  WHERE report_at_ms IS NOT NULL AND report_at_ms <= :now_ms) AS answer`;

/** Jobs that have waited longer than they may, at most `limit`. */
export const overdue = `
  SELECT sequence, worker, type, model_variant, due, body, expires_at_ms
    FROM jobs INDEXED BY jobs_to_expire
   WHERE status = 'queued' AND expires_at_ms IS NOT NULL AND expires_at_ms <= :now_ms
   LIMIT :limit`;

export const expireJob = `
  UPDATE jobs
     SET status = 'failed', settled_at_ms = :now_ms, report_at_ms = :now_ms, error = :error, lease_token = NULL
   WHERE sequence = :sequence`;

/** Gives ends that are to be reported to the caller alone, until `until_ms`. */
export const claimEnds = `
  UPDATE jobs
     SET report_at_ms = :until_ms
   WHERE sequence IN (SELECT sequence FROM jobs INDEXED BY jobs_to_report
                       WHERE report_at_ms IS NOT NULL AND report_at_ms <= :now_ms
                       ORDER BY report_at_ms
                       LIMIT :limit)
  RETURNING sequence, id, body, run, attempt, status, error, settled_at_ms`;

/** Of another run of the job than the newest there is nothing to report any more. */
export const endReported = `
  UPDATE jobs SET report_at_ms = NULL WHERE id = :id AND run = :run AND report_at_ms IS NOT NULL`;

// ---- offers

export const withdrawOffers = "DELETE FROM offers WHERE container = :container OR expires_at_ms <= :now_ms";

export const insertOffer = `
  INSERT INTO offers (container, worker, offer, expires_at_ms) VALUES (:container, :worker, :offer, :expires_at_ms)`;

export const liveOffers = "SELECT worker, offer FROM offers WHERE expires_at_ms > :now_ms";

/** What the first due jobs of a worker need, at most 1,000 of them and of those whose delay nobody has noticed to be over. */
export const needsOfDue = `
  SELECT type, model_variant, count(*) AS jobs, min(available_at_ms) AS oldest_ms
    FROM (SELECT * FROM (SELECT type, model_variant, available_at_ms
                           FROM jobs INDEXED BY jobs_to_take
                          WHERE worker = :worker AND status = 'queued' AND due = 1
                          ORDER BY priority DESC, sequence
                          LIMIT 1000)
           UNION ALL
          SELECT * FROM (SELECT type, model_variant, available_at_ms
                           FROM jobs INDEXED BY jobs_to_promote
                          WHERE status = 'queued' AND due = 0 AND available_at_ms <= :now_ms AND worker = :worker
                          LIMIT 1000))
   GROUP BY type, model_variant
   ORDER BY oldest_ms`;
