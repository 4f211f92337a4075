-- Tables, their constraints, and who may read them.
--
-- States of a job, checked by the trigger in 20261128003200_states.sql:
--
--   queued ──► running ──► completed | failed | cancelled
--     ▲ │ │      │
--     │ │ └──────┼───────► cancelled              asked before it ran
--     │ └────────┼───────► failed                 a job that it depends on did not complete
--     └──────────┘                                retry, release, a lease that ran out
--   failed ──► queued                             redrive
--
-- Every statement here may be run again: on an empty database, and on one that has it already.

-- Supabase grants new functions to everybody. A function that nobody has granted is one that nobody may call.
alter default privileges revoke execute on functions from public;

alter default privileges in schema public revoke execute on functions from anon, authenticated, service_role;

-- What is only for the functions themselves: not among the schemas that the REST API shows.
create schema if not exists ourvidz;

revoke all on schema ourvidz from public;

-- Where the tables are there and in use, whoever uses them now goes first, and who comes meanwhile waits: calls begin at the jobs. What
-- follows takes one lock after another, which would deadlock with calls that have some of them. (Added after this file was released. It
-- changes nothing that the file makes, so a project that has run the file without it needs nothing.)
do $$ begin
  if to_regclass('ourvidz.jobs') is not null then
    lock table ourvidz.jobs in access exclusive mode;
  end if;
end $$;

do $$ begin
  create type ourvidz.job_status as enum ('queued', 'running', 'completed', 'failed', 'cancelled');
exception when duplicate_object then null;
end $$;

-- ---- job types: filled by the newest file …_job_types.sql; an app may add rows of its own

create table if not exists ourvidz.job_types (
  type             text    primary key check (type ~ '^[a-z0-9][a-z0-9_]{0,63}$'),
  worker           text    not null check (worker ~ '^[a-z0-9][a-z0-9_]{0,31}$'),
  queue            text    not null generated always as (worker || '_queue') stored,
  content_type     text    not null check (content_type in ('image', 'video', 'text')),
  file_extension   text    not null check (file_extension ~ '^[a-z0-9]{1,8}$'),
  expected_seconds integer check (expected_seconds > 0),
  bucket           text    not null check (bucket ~ '^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$')
);

-- ---- jobs: one row a job, kept after it is settled

create table if not exists ourvidz.jobs (
  id                  uuid primary key default gen_random_uuid(),
  -- Order of arrival: a job keeps its age when it comes back to the queue.
  sequence            bigint generated always as identity unique,
  -- Null: a job of the installation itself ("anonymous" on the wire).
  user_id             uuid references auth.users (id) on delete cascade,
  type                text not null,
  worker              text not null check (worker ~ '^[a-z0-9][a-z0-9_]{0,31}$'),
  queue               text not null generated always as (worker || '_queue') stored,
  -- How it reaches a container: over Redis, or claimed from this table.
  source              text not null check (source in ('upstash', 'supabase')),
  status              ourvidz.job_status not null default 'queued',
  prompt              text,
  negative_prompt     text,
  model_variant       text,
  bucket              text not null,
  priority            integer not null default 0 check (priority between -100 and 100),
  -- The job as it is on the wire.
  element             jsonb not null check (jsonb_typeof(element) = 'object'),
  -- Which call of enqueue_job made it: a call that is repeated after its answer was lost knows its own job by it.
  request             text,
  -- Which call of request_cancel or redrive_job changed it last, for the same reason.
  operator_request    text,
  parent_job_id       uuid references ourvidz.jobs (id) on delete set null,
  depends_on          uuid[] not null default '{}',
  -- How many of them are not completed yet.
  waits_for           integer not null default 0 check (waits_for >= 0),
  -- Charged so far, the running one included.
  attempt             integer not null default 0 check (attempt >= 0),
  -- Those that redriving has forgotten.
  earlier_attempts    integer not null default 0 check (earlier_attempts >= 0),
  cancel_requested_at timestamptz,
  progress            double precision check (progress between 0 and 1),
  created_at          timestamptz not null default now(),
  -- Since when it is due, or when it will be.
  available_at        timestamptz not null default now(),
  started_at          timestamptz,
  settled_at          timestamptz,
  -- The newest token as long as nobody has settled it: also on a queued job whose lease ran out and that nobody has
  -- claimed since, and on a job that a callback brought to its end.
  lease_token         text,
  lease_expires_at    timestamptz,
  worker_id           text,
  worker_version      text,
  result              jsonb,
  -- What the callback said: seed, timings, the parameters that were used.
  metadata            jsonb,
  enhanced_prompt     text,
  error               jsonb,
  queue_seconds       double precision,
  generation_seconds  double precision,
  constraint jobs_settled_at check ((status in ('completed', 'failed', 'cancelled')) = (settled_at is not null)),
  constraint jobs_leased check ((status = 'running' and source = 'supabase') = (lease_expires_at is not null)),
  constraint jobs_token check (lease_expires_at is null or lease_token is not null)
);

create index if not exists jobs_to_claim on ourvidz.jobs (worker, priority desc, sequence)
  where status = 'queued' and source = 'supabase' and waits_for = 0;

create index if not exists jobs_leased on ourvidz.jobs (lease_expires_at) where lease_expires_at is not null;

create index if not exists jobs_dependents on ourvidz.jobs using gin (depends_on) where waits_for > 0;

create index if not exists jobs_children on ourvidz.jobs (parent_job_id) where parent_job_id is not null;

create index if not exists jobs_by_user on ourvidz.jobs (user_id, sequence);

create index if not exists jobs_by_status on ourvidz.jobs (status, sequence);

create index if not exists jobs_by_type on ourvidz.jobs (type, sequence);

create index if not exists jobs_to_prune on ourvidz.jobs (settled_at) where settled_at is not null;

-- One row a lease, which is also the memory of its token: a settling call that is said twice is recognised by it.
create table if not exists ourvidz.job_attempts (
  sequence   bigint generated always as identity primary key,
  job_id     uuid not null references ourvidz.jobs (id) on delete cascade,
  token      text not null unique,
  -- The claim that it was given to, so that a lease whose answer was lost is given back.
  ticket     text,
  attempt    integer not null check (attempt > 0),
  worker_id  text not null,
  started_at timestamptz not null,
  ended_at   timestamptz,
  outcome    text not null default 'running'
             check (outcome in ('running', 'completed', 'retried', 'failed', 'released', 'cancelled', 'expired')),
  error      jsonb,
  constraint job_attempts_ended check ((outcome = 'running') = (ended_at is null))
);

create index if not exists job_attempts_by_job on ourvidz.job_attempts (job_id, sequence);

create index if not exists job_attempts_by_ticket on ourvidz.job_attempts (ticket) where outcome = 'running';

-- Every key that a job was enqueued with. Another user's equal key is another key.
create table if not exists ourvidz.idempotency_keys (
  owner  text not null,
  key    text not null check (length(key) between 1 and 255),
  job_id uuid not null references ourvidz.jobs (id) on delete cascade,
  primary key (owner, key)
);

create index if not exists idempotency_keys_by_job on ourvidz.idempotency_keys (job_id);

-- Elements that still have to be pushed to Redis; written in the transaction that writes the job.
create table if not exists ourvidz.queue_outbox (
  job_id      uuid primary key references ourvidz.jobs (id) on delete cascade,
  queue       text not null,
  element     jsonb not null,
  created_at  timestamptz not null default now(),
  tries       integer not null default 0,
  next_try_at timestamptz not null default now(),
  last_error  text
);

create index if not exists queue_outbox_due on ourvidz.queue_outbox (next_try_at);

create table if not exists ourvidz.assets (
  job_id         uuid not null references ourvidz.jobs (id) on delete cascade,
  index          integer not null check (index >= 0),
  type           text not null check (type in ('image', 'video', 'text')),
  bucket         text not null,
  path           text not null,
  thumbnail_path text,
  mime_type      text,
  size_bytes     bigint check (size_bytes >= 0),
  metadata       jsonb not null default '{}',
  created_at     timestamptz not null default now(),
  primary key (job_id, index)
);

-- What each run to an end cost, counted over redrives. Kept when its job is deleted: it is what a user is billed by.
create table if not exists ourvidz.usage (
  job_id      uuid not null,
  attempt     integer not null,
  user_id     uuid references auth.users (id) on delete set null,
  type        text not null,
  status      ourvidz.job_status not null,
  gpu_seconds double precision not null default 0 check (gpu_seconds >= 0),
  files       integer not null default 0 check (files >= 0),
  bytes       bigint not null default 0 check (bytes >= 0),
  created_at  timestamptz not null default now(),
  primary key (job_id, attempt)
);

create index if not exists usage_by_user on ourvidz.usage (user_id, created_at);

-- ---- containers, and what the app's language model is told

create table if not exists ourvidz.workers (
  worker_id           text primary key check (length(worker_id) between 1 and 200),
  url                 text not null check (url ~ '^https?://'),
  capabilities        text[] not null default '{}',
  status              text not null default 'active' check (status in ('active', 'stopped')),
  version             text,
  registration_method text,
  detection_method    text,
  registered_at       timestamptz not null default now(),
  last_seen_at        timestamptz not null default now(),
  healthy_at          timestamptz,
  -- The container's own time of its newest report: an older one that arrives late changes nothing.
  reported_at         timestamptz
);

create index if not exists workers_last_seen on ourvidz.workers (last_seen_at) where status = 'active';

create table if not exists ourvidz.enhancement_presets (
  preset        text primary key check (preset ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
  title         text not null,
  target_model  text not null check (target_model in ('sdxl', 'wan')),
  system_prompt text not null check (length(system_prompt) between 1 and 8000),
  -- Pairs of what was asked and a good answer: [{"prompt": …, "enhanced_prompt": …}]
  examples      jsonb not null default '[]' check (jsonb_typeof(examples) = 'array'),
  max_tokens    integer not null check (max_tokens between 1 and 2048),
  settings      jsonb not null default '{}' check (jsonb_typeof(settings) = 'object'),
  created_at    timestamptz not null default now()
);

-- How often a user asks for what leaves no row of its own, such as the enhancement of a prompt. One row for each user and
-- kind of request, with the count of the newest minute.

create table if not exists ourvidz.request_rates (
  user_id uuid        not null references auth.users (id) on delete cascade,
  kind    text        not null check (kind ~ '^[a-z0-9-]{1,64}$'),
  minute  timestamptz not null,
  asked   integer     not null check (asked > 0),
  primary key (user_id, kind)
);

-- Runs of a job, ends that nobody has reported yet, what containers offer, and how long a job may wait.
--
--   run    1, and one more with every redrive; attempts restart at 1 with every run
--   end    a job that failed or was cancelled while no attempt held it: whoever takes next reports it to the app
--   offer  the job types and models that one container can run now
--
-- Columns and tables are added to a database with rows in it; nothing of it is rewritten.

alter table ourvidz.jobs add column if not exists run integer not null default 1 check (run > 0);

-- Until when the job may wait: `config.expires_in_seconds` after it was made, or redriven. Null: for ever.
alter table ourvidz.jobs add column if not exists expires_at timestamptz;

-- One row a job whose end no attempt has brought about, until a container has its final callback in its outbox. What the
-- end was is in the job's row, which does not change any more.
create table if not exists ourvidz.job_ends (
  job_id  uuid primary key references ourvidz.jobs (id) on delete cascade,
  -- A container that was given it reports it until then; afterwards it goes to another one.
  free_at timestamptz not null,
  -- The take that it was given to, so that an end whose answer was lost is given out again.
  ticket  text
);

create index if not exists job_ends_free on ourvidz.job_ends (free_at);

-- What each container offers for each of its workers, renewed while it runs.
create table if not exists ourvidz.offers (
  worker_id           text not null check (length(worker_id) between 1 and 200),
  worker              text not null,
  types               text[] not null,
  -- Those of `types` that run a job which names no model.
  default_model_types text[] not null,
  models              text[] not null,
  expires_at          timestamptz not null,
  primary key (worker_id, worker)
);

create index if not exists offers_by_worker on ourvidz.offers (worker, expires_at);

-- A claim looks for the first job of each need that it offers, so that those which nobody here can run cost it nothing,
-- however many they are.
create index if not exists jobs_to_claim_by_need
  on ourvidz.jobs (worker, type, (coalesce(model_variant, '')), priority desc, sequence)
  where status = 'queued' and source = 'supabase' and waits_for = 0;

create index if not exists jobs_to_expire on ourvidz.jobs (expires_at)
  where status = 'queued' and source = 'supabase' and expires_at is not null;

-- In place of jobs_due, which a worker whose jobs are few had to read to its end.
create index if not exists jobs_due_by_worker on ourvidz.jobs (worker, available_at)
  where status = 'queued' and source = 'supabase' and waits_for = 0;

drop index if exists ourvidz.jobs_due;

-- A job that has been worked off and whose result has not reached the app yet: it stays running, and says why.

-- {"becomes", "step", "since", "tries", "error": {"code", "message"}, "next_try_at"}; null for every other job.
alter table ourvidz.jobs add column if not exists delivery jsonb;

-- Failed jobs in groups, by an index alone: what a job's error says lies beside megabytes of rows that need not be read.
-- With 100,000 failed jobs a call took 600 ms, and takes 40 ms. (Counters kept by a trigger would be quicker still, but every
-- failing job would wait for the others of its group, and transactions that fail many could wait for each other.)

-- Of a failed job; null for every other. Adding them writes the table anew: 3 s for 100,000 jobs.
alter table ourvidz.jobs add column if not exists failure_code text
  generated always as (case when status = 'failed' then coalesce(error ->> 'code', 'INTERNAL') end) stored;

alter table ourvidz.jobs add column if not exists failure_permanent boolean
  generated always as (case when status = 'failed' then coalesce(error ->> 'permanent' = 'true', false) end) stored;

create index if not exists jobs_failures
  on ourvidz.jobs (worker, failure_code, type, source, settled_at, sequence, failure_permanent) where status = 'failed';

-- Tokens of the target model's own tokenizer that an enhanced prompt may have; null: what the model reads whole.
alter table ourvidz.enhancement_presets add column if not exists token_limit integer;
alter table ourvidz.enhancement_presets drop constraint if exists enhancement_presets_token_limit_check;
alter table ourvidz.enhancement_presets add constraint enhancement_presets_token_limit_check
  check (token_limit between 1 and 4096);

-- Types that containers have registered, which an app or the contract does not have: since when, and the JSON Schema of `config`.
-- What they make is null where it is nothing.
alter table ourvidz.job_types add column if not exists registered_at timestamptz;
alter table ourvidz.job_types add column if not exists parameters jsonb check (jsonb_typeof(parameters) = 'object');
alter table ourvidz.job_types alter column content_type drop not null;
alter table ourvidz.job_types alter column file_extension drop not null;

-- A container that gives a job back says why: what the job waits for is shown with it.

-- {"code", "message"} of a released attempt; null when its container said nothing, as older ones do.
alter table ourvidz.job_attempts add column if not exists release_reason jsonb;

-- ---- who may read and write: users see their own rows, the service role writes, nobody else does anything

do $$
declare
  each text;
begin
  foreach each in array array['job_types', 'jobs', 'job_attempts', 'idempotency_keys', 'queue_outbox', 'assets',
                              'usage', 'workers', 'enhancement_presets', 'request_rates', 'job_ends', 'offers'] loop
    execute format('alter table ourvidz.%I enable row level security', each);
    execute format('revoke all on ourvidz.%I from public, anon, authenticated, service_role', each);
    execute format('grant select, insert, update, delete on ourvidz.%I to service_role', each);
  end loop;
end $$;

grant select on ourvidz.jobs, ourvidz.assets, ourvidz.usage, ourvidz.job_types, ourvidz.enhancement_presets to authenticated;

drop policy if exists "users read their own jobs" on ourvidz.jobs;
create policy "users read their own jobs" on ourvidz.jobs
  for select to authenticated using (user_id = (select auth.uid()));

drop policy if exists "users read the assets of their own jobs" on ourvidz.assets;
create policy "users read the assets of their own jobs" on ourvidz.assets
  for select to authenticated
  using (exists (select 1 from ourvidz.jobs where jobs.id = assets.job_id and jobs.user_id = (select auth.uid())));

drop policy if exists "users read their own usage" on ourvidz.usage;
create policy "users read their own usage" on ourvidz.usage
  for select to authenticated using (user_id = (select auth.uid()));

drop policy if exists "everybody signed in reads the job types" on ourvidz.job_types;
create policy "everybody signed in reads the job types" on ourvidz.job_types
  for select to authenticated using (true);

drop policy if exists "everybody signed in reads the presets" on ourvidz.enhancement_presets;
create policy "everybody signed in reads the presets" on ourvidz.enhancement_presets
  for select to authenticated using (true);

-- Browsers may follow their rows.
do $$ begin
  alter publication supabase_realtime add table ourvidz.jobs;
exception when undefined_object or duplicate_object then null;
end $$;

-- The functions of an app's browser and Realtime name the table by its schema; what lies in it is guarded as before.
grant usage on schema ourvidz to authenticated, service_role;

-- What an app reads over REST, which shows the schema `public` alone: as whoever asks, so that the policies above hold. A new
-- column that an app should see is added at the end of its view.
create or replace view public.ourvidz_jobs with (security_invoker = true) as
  select id, sequence, user_id, type, worker, queue, source, status, prompt, negative_prompt, model_variant, bucket, priority,
         parent_job_id, depends_on, waits_for, run, attempt, cancel_requested_at, progress, created_at, available_at,
         expires_at, started_at, settled_at, worker_id, delivery, result, metadata, enhanced_prompt, error, failure_code,
         queue_seconds, generation_seconds
    from ourvidz.jobs;

create or replace view public.ourvidz_assets with (security_invoker = true) as
  select job_id, index, type, bucket, path, thumbnail_path, mime_type, size_bytes, metadata, created_at from ourvidz.assets;

create or replace view public.ourvidz_usage with (security_invoker = true) as
  select job_id, attempt, user_id, type, status, gpu_seconds, files, bytes, created_at from ourvidz.usage;

create or replace view public.ourvidz_job_types with (security_invoker = true) as
  select type, worker, queue, content_type, file_extension, expected_seconds, bucket, registered_at, parameters
    from ourvidz.job_types;

create or replace view public.ourvidz_enhancement_presets with (security_invoker = true) as
  select preset, title, target_model, system_prompt, examples, max_tokens, settings, created_at, token_limit
    from ourvidz.enhancement_presets;

revoke all on public.ourvidz_jobs, public.ourvidz_assets, public.ourvidz_usage, public.ourvidz_job_types,
              public.ourvidz_enhancement_presets from public, anon, authenticated, service_role;
grant select on public.ourvidz_jobs, public.ourvidz_assets, public.ourvidz_usage, public.ourvidz_job_types,
                public.ourvidz_enhancement_presets to authenticated, service_role;
-- Rows that an app adds or changes, with its service key.
grant insert, update, delete on public.ourvidz_job_types, public.ourvidz_enhancement_presets to service_role;
