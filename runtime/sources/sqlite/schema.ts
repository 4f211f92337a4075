import type { Migration } from "#runtime/lib/database/migrations.ts";
import { sessionMigrations } from "./sqlite-sessions.ts";

/*
 * Tables of the embedded source.
 *
 * jobs: one row a job, kept after it is settled. `sequence` is the order of arrival, and as the rowid it ends every
 *   index, so that each filter of a listing is already in the order of the page.
 *   `due` is false while a delay runs. It is what makes `take` independent of how many jobs are delayed: they are
 *   promoted by an index on their time, and are not in the index that is taken from.
 *   `lease_token` is the newest token as long as nobody has settled it: also on a queued job whose lease ran out and
 *   that nobody has taken since, which is how a late settle is still let in.
 * attempts: one row a lease, which is also the memory of its token: a repeated settle is recognised by it.
 * idempotency_keys: a user's keys; another user's equal key is another key.
 */
const tables = `
  CREATE TABLE jobs (
    sequence            INTEGER PRIMARY KEY,
    id                  TEXT    NOT NULL UNIQUE,
    worker              TEXT    NOT NULL,
    type                TEXT    NOT NULL,
    user_id             TEXT    NOT NULL,
    model_variant       TEXT,
    priority            INTEGER NOT NULL,
    body                TEXT    NOT NULL CHECK (json_valid(body)),
    status              TEXT    NOT NULL DEFAULT 'queued'
                        CHECK (status IN ('queued', 'running', 'completed', 'failed', 'cancelled')),
    due                 INTEGER NOT NULL CHECK (due IN (0, 1)),
    attempt             INTEGER NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    cancel_requested    INTEGER NOT NULL DEFAULT 0 CHECK (cancel_requested IN (0, 1)),
    progress            REAL,
    created_at_ms       INTEGER NOT NULL,
    available_at_ms     INTEGER NOT NULL,
    settled_at_ms       INTEGER,
    lease_token         TEXT,
    lease_expires_at_ms INTEGER,
    result              TEXT CHECK (json_valid(result)),
    error               TEXT CHECK (json_valid(error)),
    CHECK ((status IN ('completed', 'failed', 'cancelled')) = (settled_at_ms IS NOT NULL)),
    CHECK ((status = 'running') = (lease_expires_at_ms IS NOT NULL)),
    CHECK (status <> 'running' OR lease_token IS NOT NULL),
    CHECK (settled_at_ms IS NULL OR lease_token IS NULL)
  ) STRICT;

  CREATE INDEX jobs_to_take    ON jobs (worker, priority DESC, sequence) WHERE status = 'queued' AND due = 1;
  CREATE INDEX jobs_to_promote ON jobs (available_at_ms)                 WHERE status = 'queued' AND due = 0;
  CREATE INDEX jobs_leased     ON jobs (lease_expires_at_ms)             WHERE status = 'running';
  CREATE INDEX jobs_to_prune   ON jobs (settled_at_ms)                   WHERE settled_at_ms IS NOT NULL;
  CREATE INDEX jobs_to_count   ON jobs (worker, status, available_at_ms) WHERE status NOT IN ('completed', 'cancelled');
  CREATE INDEX jobs_by_status  ON jobs (status);
  CREATE INDEX jobs_by_type    ON jobs (type);
  CREATE INDEX jobs_by_user    ON jobs (user_id);

  CREATE TABLE attempts (
    token         TEXT    NOT NULL PRIMARY KEY,
    job_sequence  INTEGER NOT NULL REFERENCES jobs (sequence) ON DELETE CASCADE,
    attempt       INTEGER NOT NULL,
    worker_id     TEXT    NOT NULL,
    started_at_ms INTEGER NOT NULL,
    ended_at_ms   INTEGER,
    outcome       TEXT    NOT NULL DEFAULT 'running'
                  CHECK (outcome IN ('running', 'completed', 'retried', 'failed', 'released', 'cancelled', 'expired')),
    error         TEXT CHECK (json_valid(error)),
    CHECK ((outcome = 'running') = (ended_at_ms IS NULL))
  ) STRICT;

  CREATE INDEX attempts_by_job ON attempts (job_sequence);

  CREATE TABLE idempotency_keys (
    user_id      TEXT    NOT NULL,
    key          TEXT    NOT NULL,
    job_sequence INTEGER NOT NULL REFERENCES jobs (sequence) ON DELETE CASCADE,
    PRIMARY KEY (user_id, key)
  ) STRICT, WITHOUT ROWID;

  CREATE INDEX idempotency_keys_by_job ON idempotency_keys (job_sequence);
`;

/*
 * Since version 2 a job has:
 *
 *   run            1, and one more with every redrive
 *   expires_at_ms  when it fails if it still waits; NULL: never
 *   report_at_ms   from when on its end is answered to a container that reports it; NULL: reported, or nothing to report
 *
 * jobs_by_need finds the first job of each need, however many jobs of other needs stand before it.
 * offers: what each container can run, by worker; counts until it runs out.
 */
const endsAndOffers = `
  ALTER TABLE jobs ADD COLUMN run INTEGER NOT NULL DEFAULT 1 CHECK (run >= 1);
  ALTER TABLE jobs ADD COLUMN expires_at_ms INTEGER;
  ALTER TABLE jobs ADD COLUMN report_at_ms INTEGER CHECK (report_at_ms IS NULL OR status IN ('failed', 'cancelled'));

  CREATE INDEX jobs_by_need   ON jobs (worker, type, model_variant, priority DESC, sequence)
                                                     WHERE status = 'queued' AND due = 1;
  CREATE INDEX jobs_to_expire ON jobs (expires_at_ms) WHERE status = 'queued' AND expires_at_ms IS NOT NULL;
  CREATE INDEX jobs_to_report ON jobs (report_at_ms)  WHERE report_at_ms IS NOT NULL;

  CREATE TABLE offers (
    container     TEXT    NOT NULL,
    worker        TEXT    NOT NULL,
    offer         TEXT    NOT NULL CHECK (json_valid(offer)),
    expires_at_ms INTEGER NOT NULL,
    PRIMARY KEY (container, worker)
  ) STRICT, WITHOUT ROWID;
`;

/*
 * Since version 3 a job that has been worked off says why its result has not reached the app yet. The note belongs to the
 * lease of who delivers, and goes with it.
 */
const deliveries = `
  ALTER TABLE jobs ADD COLUMN delivery TEXT CHECK (json_valid(delivery));

  CREATE TRIGGER drop_delivery AFTER UPDATE OF status, lease_token ON jobs
    WHEN NEW.delivery IS NOT NULL AND (NEW.status <> 'running' OR NEW.lease_token IS NOT OLD.lease_token)
  BEGIN
    UPDATE jobs SET delivery = NULL WHERE sequence = NEW.sequence;
  END;
`;

/*
 * A component of its own: failed jobs are counted where they change, so that looking at a million of them costs what looking at
 * their groups does. Every change of a job's state goes through the triggers, whoever makes it. An error without a code is
 * counted as INTERNAL.
 */
const failures = `
  ALTER TABLE jobs ADD COLUMN error_code TEXT
    GENERATED ALWAYS AS (coalesce(json_extract(error, '$.code'), 'INTERNAL')) VIRTUAL;

  CREATE INDEX jobs_failed ON jobs (worker, error_code, type) WHERE status = 'failed';

  CREATE TABLE failure_groups (
    worker    TEXT    NOT NULL,
    code      TEXT    NOT NULL,
    type      TEXT    NOT NULL,
    jobs      INTEGER NOT NULL,
    permanent INTEGER NOT NULL,
    last_ms   INTEGER NOT NULL,
    PRIMARY KEY (worker, code, type)
  ) STRICT, WITHOUT ROWID;

  CREATE TRIGGER count_failed AFTER UPDATE OF status ON jobs WHEN NEW.status = 'failed' AND OLD.status <> 'failed'
  BEGIN
    INSERT INTO failure_groups (worker, code, type, jobs, permanent, last_ms)
    VALUES (NEW.worker, NEW.error_code, NEW.type, 1, NEW.error ->> '$.permanent' IS 1, NEW.settled_at_ms)
    ON CONFLICT (worker, code, type) DO UPDATE
      SET jobs = jobs + 1, permanent = permanent + excluded.permanent, last_ms = excluded.last_ms;
  END;

  CREATE TRIGGER discount_redriven AFTER UPDATE OF status ON jobs WHEN OLD.status = 'failed' AND NEW.status <> 'failed'
  BEGIN
    UPDATE failure_groups SET jobs = jobs - 1, permanent = permanent - (OLD.error ->> '$.permanent' IS 1)
     WHERE worker = OLD.worker AND code = OLD.error_code AND type = OLD.type;
    DELETE FROM failure_groups WHERE worker = OLD.worker AND code = OLD.error_code AND type = OLD.type AND jobs < 1;
  END;

  CREATE TRIGGER discount_deleted AFTER DELETE ON jobs WHEN OLD.status = 'failed'
  BEGIN
    UPDATE failure_groups SET jobs = jobs - 1, permanent = permanent - (OLD.error ->> '$.permanent' IS 1)
     WHERE worker = OLD.worker AND code = OLD.error_code AND type = OLD.type;
    DELETE FROM failure_groups WHERE worker = OLD.worker AND code = OLD.error_code AND type = OLD.type AND jobs < 1;
  END;

  INSERT INTO failure_groups (worker, code, type, jobs, permanent, last_ms)
  SELECT worker, error_code, type, count(*), count(*) FILTER (WHERE error ->> '$.permanent' IS 1), max(settled_at_ms)
    FROM jobs WHERE status = 'failed' GROUP BY worker, error_code, type;
`;

/*
 * Since version 4 the first job of each user, type and model can be found, however many jobs of others stand before it:
 * what takes while it skips somebody's.
 */
const skipping = `
  CREATE INDEX jobs_by_owner ON jobs (worker, user_id, type, coalesce(model_variant, ''), priority DESC, sequence)
                                                   WHERE status = 'queued' AND due = 1;
`;

/* Since version 5 an attempt that was given back says why. */
const releaseReasons = "ALTER TABLE attempts ADD COLUMN reason TEXT CHECK (json_valid(reason))";

/* Since version 6 queues can be paused, for every container on the file. */
const pausing = `
  CREATE TABLE paused_queues (
    worker   TEXT    NOT NULL PRIMARY KEY,
    since_ms INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
`;

export const sourceMigrations: readonly Migration[] = [
  { component: "source", version: 1, sql: tables },
  { component: "source", version: 2, sql: endsAndOffers },
  { component: "source", version: 3, sql: deliveries },
  { component: "source", version: 4, sql: skipping },
  { component: "source", version: 5, sql: releaseReasons },
  { component: "source", version: 6, sql: pausing },
  { component: "failures", version: 1, sql: failures },
  ...sessionMigrations,
];
