-- The database of a data folder as version 0.1.0 had left it on its first days, killed with kill -9: a finished job, a failed one, one whose callback
-- nobody took, one that ran and one that waited. {data} is the folder; times are moved to the present.
PRAGMA user_version = 1;
BEGIN TRANSACTION;
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
INSERT INTO "attempts" VALUES('c88c2b55-0b06-424f-b3f2-ce13036a9e90',1,1,'first',1795930754556,1795930754739,'completed',NULL);
INSERT INTO "attempts" VALUES('31f8c988-e3d5-4ac2-a7a9-dbad160072c6',2,1,'first',1795930754693,1795930754727,'failed','{"code":"HANDLER_FAILED","message":"the handler can never do this"}');
INSERT INTO "attempts" VALUES('5d92c86c-ebad-484f-a37e-6626dec55adf',3,1,'first',1795930764559,NULL,'running',NULL);
INSERT INTO "attempts" VALUES('c3e10c6f-6335-4407-a7a6-f0b55c9b1101',4,1,'first',1795930768616,NULL,'running',NULL);
CREATE TABLE "callbacks" (
      job_id TEXT NOT NULL,
      run INTEGER NOT NULL,
      attempt INTEGER NOT NULL,
      status TEXT NOT NULL,
      body TEXT NOT NULL,
      received_at_ms INTEGER NOT NULL,
      PRIMARY KEY (job_id, run, attempt, status)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "callbacks" VALUES('00000000-0000-4000-8000-000000000001',1,1,'completed','{"job_id":"00000000-0000-4000-8000-000000000001","run":1,"attempt":1,"error_message":null,"status":"completed","assets":[{"type":"text","url":"ann/00000000-0000-4000-8000-000000000001/0.txt","mime_type":"text/plain","size_bytes":44,"index":0,"metadata":{}}],"metadata":{"ignored":[],"parameters":{"steps":2,"step_ms":5,"fail_until_attempt":0,"retry_after_seconds":0.05,"failure":"error"},"parameter_tiers":{"steps":"job","step_ms":"job","fail_until_attempt":"system","retry_after_seconds":"system","failure":"system"},"steps":2,"job_type":"noop","queue_time":0.021,"worker_version":"0.1.0","worker_id":"first","generation_time":0.118}}',1795930754738);
INSERT INTO "callbacks" VALUES('00000000-0000-4000-8000-000000000001',1,1,'processing','{"job_id":"00000000-0000-4000-8000-000000000001","run":1,"attempt":1,"error_message":null,"status":"processing","assets":[],"metadata":{"job_type":"noop","queue_time":0.021,"worker_version":"0.1.0","worker_id":"first","progress":0}}',1795930754588);
INSERT INTO "callbacks" VALUES('00000000-0000-4000-8000-000000000002',1,1,'failed','{"job_id":"00000000-0000-4000-8000-000000000002","run":1,"attempt":1,"error_message":"the handler can never do this","status":"failed","assets":[],"metadata":{"job_type":"noop","queue_time":0.037,"worker_version":"0.1.0","worker_id":"first","generation_time":0.026,"error_type":"HANDLER_FAILED","error_timestamp":"2026-11-29T05:39:14.723Z"}}',1795930754725);
INSERT INTO "callbacks" VALUES('00000000-0000-4000-8000-000000000002',1,1,'processing','{"job_id":"00000000-0000-4000-8000-000000000002","run":1,"attempt":1,"error_message":null,"status":"processing","assets":[],"metadata":{"job_type":"noop","queue_time":0.037,"worker_version":"0.1.0","worker_id":"first","progress":0}}',1795930754701);
CREATE TABLE idempotency_keys (
    user_id      TEXT    NOT NULL,
    key          TEXT    NOT NULL,
    job_sequence INTEGER NOT NULL REFERENCES jobs (sequence) ON DELETE CASCADE,
    PRIMARY KEY (user_id, key)
  ) STRICT, WITHOUT ROWID;
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
    error               TEXT CHECK (json_valid(error)), run INTEGER NOT NULL DEFAULT 1 CHECK (run >= 1), expires_at_ms INTEGER, report_at_ms INTEGER CHECK (report_at_ms IS NULL OR status IN ('failed', 'cancelled')),
    CHECK ((status IN ('completed', 'failed', 'cancelled')) = (settled_at_ms IS NOT NULL)),
    CHECK ((status = 'running') = (lease_expires_at_ms IS NOT NULL)),
    CHECK (status <> 'running' OR lease_token IS NOT NULL),
    CHECK (settled_at_ms IS NULL OR lease_token IS NULL)
  ) STRICT;
INSERT INTO "jobs" VALUES(1,'00000000-0000-4000-8000-000000000001','test','noop','ann',NULL,0,'{"id":"00000000-0000-4000-8000-000000000001","type":"noop","prompt":"a lake","user_id":"ann","priority":0,"config":{"steps":2,"step_ms":5},"metadata":{}}','completed',1,1,0,1.0,1795930754535,1795930754535,1795930754739,NULL,NULL,'{"assets":[{"type":"text","url":"ann/00000000-0000-4000-8000-000000000001/0.txt","mime_type":"text/plain","size_bytes":44,"index":0,"metadata":{}}],"metadata":{"ignored":[],"parameters":{"steps":2,"step_ms":5,"fail_until_attempt":0,"retry_after_seconds":0.05,"failure":"error"},"parameter_tiers":{"steps":"job","step_ms":"job","fail_until_attempt":"system","retry_after_seconds":"system","failure":"system"},"steps":2,"job_type":"noop","queue_time":0.021,"worker_version":"0.1.0","worker_id":"first","generation_time":0.118}}',NULL,1,NULL,NULL);
INSERT INTO "jobs" VALUES(2,'00000000-0000-4000-8000-000000000002','test','noop','ann',NULL,0,'{"id":"00000000-0000-4000-8000-000000000002","type":"noop","prompt":"a pond","user_id":"ann","priority":0,"config":{"steps":2,"failure":"permanent","fail_until_attempt":1},"metadata":{}}','failed',1,1,0,NULL,1795930754656,1795930754656,1795930754727,NULL,NULL,NULL,'{"code":"HANDLER_FAILED","message":"the handler can never do this"}',1,NULL,NULL);
INSERT INTO "jobs" VALUES(3,'00000000-0000-4000-8000-000000000003','test','noop','ann',NULL,0,'{"id":"00000000-0000-4000-8000-000000000003","type":"noop","prompt":"a river","user_id":"ann","priority":0,"config":{"steps":2,"step_ms":5},"metadata":{}}','running',1,1,0,NULL,1795930764540,1795930764540,NULL,'5d92c86c-ebad-484f-a37e-6626dec55adf',1795930794559,NULL,NULL,1,NULL,NULL);
INSERT INTO "jobs" VALUES(4,'00000000-0000-4000-8000-000000000004','test','noop','ann',NULL,0,'{"id":"00000000-0000-4000-8000-000000000004","type":"noop","prompt":"a stream","user_id":"ann","priority":0,"config":{"steps":6,"step_ms":5},"metadata":{}}','running',1,1,0,NULL,1795930768614,1795930768614,NULL,'c3e10c6f-6335-4407-a7a6-f0b55c9b1101',1795930798616,NULL,NULL,1,NULL,NULL);
INSERT INTO "jobs" VALUES(5,'00000000-0000-4000-8000-000000000005','test','noop','ann',NULL,0,'{"id":"00000000-0000-4000-8000-000000000005","type":"noop","prompt":"a brook","user_id":"ann","priority":0,"config":{"steps":2},"metadata":{}}','queued',1,0,0,NULL,1795930768643,1795930768643,NULL,NULL,NULL,NULL,NULL,1,NULL,NULL);
CREATE TABLE offers (
    container     TEXT    NOT NULL,
    worker        TEXT    NOT NULL,
    offer         TEXT    NOT NULL CHECK (json_valid(offer)),
    expires_at_ms INTEGER NOT NULL,
    PRIMARY KEY (container, worker)
  ) STRICT, WITHOUT ROWID;
INSERT INTO "offers" VALUES('first/87805d1e-4498-45c6-a339-3e8bfa8b5e14','other','{"types":["elsewhere"],"defaultModelTypes":["elsewhere"],"models":["sdxl","tiny-sdxl"]}',1795931063587);
INSERT INTO "offers" VALUES('first/87805d1e-4498-45c6-a339-3e8bfa8b5e14','test','{"types":["grandparent","noop","parent","stubborn"],"defaultModelTypes":["grandparent","noop","parent","stubborn"],"models":["sdxl","tiny-sdxl"]}',1795931063587);
CREATE TABLE outbox (
      id INTEGER PRIMARY KEY,
      token TEXT NOT NULL UNIQUE,
      entry TEXT NOT NULL,
      uploaded INTEGER NOT NULL DEFAULT 0,
      tries INTEGER NOT NULL DEFAULT 0,
      next_try_at_ms INTEGER NOT NULL,
      claimed_by TEXT,
      claimed_until_ms INTEGER NOT NULL DEFAULT 0,
      created_at_ms INTEGER NOT NULL
    ) STRICT;
INSERT INTO "outbox" VALUES(1,'5d92c86c-ebad-484f-a37e-6626dec55adf','{"source":"sqlite","lease":{"jobId":"00000000-0000-4000-8000-000000000003","token":"5d92c86c-ebad-484f-a37e-6626dec55adf","attempt":1,"run":1},"ended":false,"bucket":"noop","userId":"ann","settlement":{"kind":"complete"},"files":[{"index":0,"type":"text","file":"{data}/work/00000000-0000-4000-8000-000000000003/1/0.txt","extension":"txt","mimeType":"text/plain","sizeBytes":45,"metadata":{}}],"callback":{"job_id":"00000000-0000-4000-8000-000000000003","run":1,"attempt":1,"error_message":null,"status":"completed","assets":[{"type":"text","url":"ann/00000000-0000-4000-8000-000000000003/0.txt","mime_type":"text/plain","size_bytes":45,"index":0,"metadata":{}}],"metadata":{"ignored":[],"parameters":{"steps":2,"step_ms":5,"fail_until_attempt":0,"retry_after_seconds":0.05,"failure":"error"},"parameter_tiers":{"steps":"job","step_ms":"job","fail_until_attempt":"system","retry_after_seconds":"system","failure":"system"},"steps":2,"job_type":"noop","queue_time":0.019,"worker_version":"0.1.0","worker_id":"first","generation_time":0.058}},"workFolder":"{data}/work/00000000-0000-4000-8000-000000000003/1"}',1,4,1795930774922,'first/6ddc61ca-fe4a-43e9-b2ef-c91808b67a57',1795930780504,1795930764622);
CREATE TABLE schema_versions (
    component TEXT NOT NULL PRIMARY KEY,
    version   INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
INSERT INTO "schema_versions" VALUES('callbacks',2);
INSERT INTO "schema_versions" VALUES('outbox',1);
INSERT INTO "schema_versions" VALUES('source',2);
CREATE INDEX jobs_to_take    ON jobs (worker, priority DESC, sequence) WHERE status = 'queued' AND due = 1;
CREATE INDEX jobs_to_promote ON jobs (available_at_ms)                 WHERE status = 'queued' AND due = 0;
CREATE INDEX jobs_leased     ON jobs (lease_expires_at_ms)             WHERE status = 'running';
CREATE INDEX jobs_to_prune   ON jobs (settled_at_ms)                   WHERE settled_at_ms IS NOT NULL;
CREATE INDEX jobs_to_count   ON jobs (worker, status, available_at_ms) WHERE status NOT IN ('completed', 'cancelled');
CREATE INDEX jobs_by_status  ON jobs (status);
CREATE INDEX jobs_by_type    ON jobs (type);
CREATE INDEX jobs_by_user    ON jobs (user_id);
CREATE INDEX attempts_by_job ON attempts (job_sequence);
CREATE INDEX idempotency_keys_by_job ON idempotency_keys (job_sequence);
CREATE INDEX jobs_by_need   ON jobs (worker, type, model_variant, priority DESC, sequence)
                                                     WHERE status = 'queued' AND due = 1;
CREATE INDEX jobs_to_expire ON jobs (expires_at_ms) WHERE status = 'queued' AND expires_at_ms IS NOT NULL;
CREATE INDEX jobs_to_report ON jobs (report_at_ms)  WHERE report_at_ms IS NOT NULL;
COMMIT;