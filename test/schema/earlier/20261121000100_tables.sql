-- Tables, their constraints, and who may read them.
--
-- States of a job, checked by the trigger in 20261121000300_states.sql:
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

do $$ begin
  create type public.job_status as enum ('queued', 'running', 'completed', 'failed', 'cancelled');
exception when duplicate_object then null;
end $$;

-- ---- job types: filled by 20261121000200_job_types.sql; an app may add rows of its own

create table if not exists public.job_types (
  type             text    primary key check (type ~ '^[a-z0-9][a-z0-9_]{0,63}$'),
  worker           text    not null check (worker ~ '^[a-z0-9][a-z0-9_]{0,31}$'),
  queue            text    not null generated always as (worker || '_queue') stored,
  content_type     text    not null check (content_type in ('image', 'video', 'text')),
  file_extension   text    not null check (file_extension ~ '^[a-z0-9]{1,8}$'),
  expected_seconds integer check (expected_seconds > 0),
  bucket           text    not null check (bucket ~ '^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$')
);

-- ---- jobs: one row a job, kept after it is settled

create table if not exists public.jobs (
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
  status              public.job_status not null default 'queued',
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
  parent_job_id       uuid references public.jobs (id) on delete set null,
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

create index if not exists jobs_to_claim on public.jobs (worker, priority desc, sequence)
  where status = 'queued' and source = 'supabase' and waits_for = 0;
create index if not exists jobs_leased on public.jobs (lease_expires_at) where lease_expires_at is not null;
create index if not exists jobs_due on public.jobs (available_at)
  where status = 'queued' and source = 'supabase' and waits_for = 0;
create index if not exists jobs_dependents on public.jobs using gin (depends_on) where waits_for > 0;
create index if not exists jobs_children on public.jobs (parent_job_id) where parent_job_id is not null;
create index if not exists jobs_by_user on public.jobs (user_id, sequence);
create index if not exists jobs_by_status on public.jobs (status, sequence);
create index if not exists jobs_by_type on public.jobs (type, sequence);
create index if not exists jobs_to_prune on public.jobs (settled_at) where settled_at is not null;

-- One row a lease, which is also the memory of its token: a settling call that is said twice is recognised by it.
create table if not exists public.job_attempts (
  sequence   bigint generated always as identity primary key,
  job_id     uuid not null references public.jobs (id) on delete cascade,
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

create index if not exists job_attempts_by_job on public.job_attempts (job_id, sequence);
create index if not exists job_attempts_by_ticket on public.job_attempts (ticket) where outcome = 'running';

-- Every key that a job was enqueued with. Another user's equal key is another key.
create table if not exists public.idempotency_keys (
  owner  text not null,
  key    text not null check (length(key) between 1 and 255),
  job_id uuid not null references public.jobs (id) on delete cascade,
  primary key (owner, key)
);

create index if not exists idempotency_keys_by_job on public.idempotency_keys (job_id);

-- Elements that still have to be pushed to Redis; written in the transaction that writes the job.
create table if not exists public.queue_outbox (
  job_id      uuid primary key references public.jobs (id) on delete cascade,
  queue       text not null,
  element     jsonb not null,
  created_at  timestamptz not null default now(),
  tries       integer not null default 0,
  next_try_at timestamptz not null default now(),
  last_error  text
);

create index if not exists queue_outbox_due on public.queue_outbox (next_try_at);

create table if not exists public.assets (
  job_id         uuid not null references public.jobs (id) on delete cascade,
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
create table if not exists public.usage (
  job_id      uuid not null,
  attempt     integer not null,
  user_id     uuid references auth.users (id) on delete set null,
  type        text not null,
  status      public.job_status not null,
  gpu_seconds double precision not null default 0 check (gpu_seconds >= 0),
  files       integer not null default 0 check (files >= 0),
  bytes       bigint not null default 0 check (bytes >= 0),
  created_at  timestamptz not null default now(),
  primary key (job_id, attempt)
);

create index if not exists usage_by_user on public.usage (user_id, created_at);

-- ---- containers, and what the app's language model is told

create table if not exists public.workers (
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

create index if not exists workers_last_seen on public.workers (last_seen_at) where status = 'active';

create table if not exists public.enhancement_presets (
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

-- ---- who may read and write: users see their own rows, the service role writes, nobody else does anything

do $$
declare
  each text;
begin
  foreach each in array array['job_types', 'jobs', 'job_attempts', 'idempotency_keys', 'queue_outbox', 'assets',
                              'usage', 'workers', 'enhancement_presets'] loop
    execute format('alter table public.%I enable row level security', each);
    execute format('revoke all on public.%I from public, anon, authenticated', each);
    execute format('grant select, insert, update, delete on public.%I to service_role', each);
  end loop;
end $$;

grant select on public.jobs, public.assets, public.usage, public.job_types, public.enhancement_presets to authenticated;

drop policy if exists "users read their own jobs" on public.jobs;
create policy "users read their own jobs" on public.jobs
  for select to authenticated using (user_id = (select auth.uid()));

drop policy if exists "users read the assets of their own jobs" on public.assets;
create policy "users read the assets of their own jobs" on public.assets
  for select to authenticated
  using (exists (select 1 from public.jobs where jobs.id = assets.job_id and jobs.user_id = (select auth.uid())));

drop policy if exists "users read their own usage" on public.usage;
create policy "users read their own usage" on public.usage
  for select to authenticated using (user_id = (select auth.uid()));

drop policy if exists "everybody signed in reads the job types" on public.job_types;
create policy "everybody signed in reads the job types" on public.job_types
  for select to authenticated using (true);

drop policy if exists "everybody signed in reads the presets" on public.enhancement_presets;
create policy "everybody signed in reads the presets" on public.enhancement_presets
  for select to authenticated using (true);

-- Browsers may follow their rows.
do $$ begin
  alter publication supabase_realtime add table public.jobs;
exception when undefined_object or duplicate_object then null;
end $$;
