-- Runs of a job, ends that nobody has reported yet, what containers offer, and how long a job may wait.
--
--   run    1, and one more with every redrive; attempts restart at 1 with every run
--   end    a job that failed or was cancelled while no attempt held it: whoever takes next reports it to the app
--   offer  the job types and models that one container can run now
--
-- Columns and tables are added to a database with rows in it; nothing of it is rewritten.

alter table public.jobs add column if not exists run integer not null default 1 check (run > 0);
-- Until when the job may wait: `config.expires_in_seconds` after it was made, or redriven. Null: for ever.
alter table public.jobs add column if not exists expires_at timestamptz;

-- One row a job whose end no attempt has brought about, until a container has its final callback in its outbox. What the
-- end was is in the job's row, which does not change any more.
create table if not exists public.job_ends (
  job_id  uuid primary key references public.jobs (id) on delete cascade,
  -- A container that was given it reports it until then; afterwards it goes to another one.
  free_at timestamptz not null,
  -- The take that it was given to, so that an end whose answer was lost is given out again.
  ticket  text
);

create index if not exists job_ends_free on public.job_ends (free_at);

-- What each container offers for each of its workers, renewed while it runs.
create table if not exists public.offers (
  worker_id           text not null check (length(worker_id) between 1 and 200),
  worker              text not null,
  types               text[] not null,
  -- Those of `types` that run a job which names no model.
  default_model_types text[] not null,
  models              text[] not null,
  expires_at          timestamptz not null,
  primary key (worker_id, worker)
);

create index if not exists offers_by_worker on public.offers (worker, expires_at);

do $$
declare
  each text;
begin
  foreach each in array array['job_ends', 'offers'] loop
    execute format('alter table public.%I enable row level security', each);
    execute format('revoke all on public.%I from public, anon, authenticated', each);
    execute format('grant select, insert, update, delete on public.%I to service_role', each);
  end loop;
end $$;

-- A claim looks for the first job of each need that it offers, so that those which nobody here can run cost it nothing,
-- however many they are.
create index if not exists jobs_to_claim_by_need
  on public.jobs (worker, type, (coalesce(model_variant, '')), priority desc, sequence)
  where status = 'queued' and source = 'supabase' and waits_for = 0;
create index if not exists jobs_to_expire on public.jobs (expires_at)
  where status = 'queued' and source = 'supabase' and expires_at is not null;
-- In place of jobs_due, which a worker whose jobs are few had to read to its end.
create index if not exists jobs_due_by_worker on public.jobs (worker, available_at)
  where status = 'queued' and source = 'supabase' and waits_for = 0;
drop index if exists public.jobs_due;

-- ---- the state machine: a higher run begins after any end

create or replace function ourvidz.check_transition()
returns trigger language plpgsql security definer set search_path = '' as $$
begin
  if tg_op = 'INSERT' then
    if new.status <> 'queued' then
      perform ourvidz.refuse(409, 'INVALID_REQUEST', format('A new job is queued, it cannot be %s.', new.status));
    end if;
    return new;
  end if;
  if new.status = 'queued' and new.run > old.run then
    return new;
  end if;
  if old.status <> new.status and (old.status, new.status) not in (
    ('queued', 'running'), ('queued', 'cancelled'), ('queued', 'failed'),
    ('running', 'queued'), ('running', 'completed'), ('running', 'failed'), ('running', 'cancelled'),
    ('failed', 'queued')) then
    perform ourvidz.refuse(409,
      case when ourvidz.is_settled(old.status) then 'JOB_ALREADY_SETTLED' else 'INVALID_REQUEST' end,
      format('Job %s is %s: it cannot become %s.', old.id, old.status, new.status));
  end if;
  return new;
end $$;

-- ---- ends: whatever brings a job of this database to failed or cancelled while no lease's token is on it

create or replace function ourvidz.leave_end()
returns trigger language plpgsql security definer set search_path = '' as $$
begin
  if new.status = 'queued' then
    delete from public.job_ends where job_id = new.id;
  else
    insert into public.job_ends (job_id, free_at) values (new.id, new.settled_at)
    on conflict (job_id) do update set free_at = excluded.free_at, ticket = null;
  end if;
  return null;
end $$;

drop trigger if exists leave_end on public.jobs;
create trigger leave_end after update of status on public.jobs
  for each row when (new.source = 'supabase' and old.status is distinct from new.status and (
    (new.status in ('failed', 'cancelled') and new.lease_token is null)
    or (new.status = 'queued' and old.status in ('completed', 'failed', 'cancelled'))))
  execute function ourvidz.leave_end();

-- ---- offers

-- Whether any container offers what this job needs.
create or replace function ourvidz.is_offered(worker_name text, type text, model text)
returns boolean language sql stable set search_path = '' as $$
  select exists (
    select from public.offers
     where offers.worker = worker_name and offers.expires_at > (select ourvidz.clock())
       and is_offered.type = any (offers.types)
       and case when model is null then is_offered.type = any (offers.default_model_types)
                else model = any (offers.models) end)
$$;

create or replace function ourvidz.texts(list jsonb)
returns text[] language sql immutable set search_path = '' as $$
  select coalesce(array_agg(value), '{}')
    from jsonb_array_elements_text(case when jsonb_typeof(list) = 'array' then list else '[]' end)
$$;

-- What this container offers from now on, for `ttl_seconds`: what it offered before is forgotten. Returns for how many
-- workers.
--
--   offers  [{"worker", "types", "default_model_types", "models"}, …]; empty when it stops
create or replace function public.announce_offers(
  worker_id text, offers jsonb, ttl_seconds double precision default 300)
returns integer language plpgsql security definer set search_path = '' as $$
declare
  now_at constant timestamptz := ourvidz.clock();
begin
  if ttl_seconds is null or ttl_seconds not between 1 and 86400 then
    perform ourvidz.refuse(400, 'INVALID_REQUEST', 'ttl_seconds must be a number from 1 to 86400.');
  end if;
  delete from public.offers as old
   where old.worker_id = announce_offers.worker_id
     and old.worker not in (select value ->> 'worker' from jsonb_array_elements(announce_offers.offers));
  insert into public.offers as known (worker_id, worker, types, default_model_types, models, expires_at)
  select announce_offers.worker_id, value ->> 'worker', ourvidz.texts(value -> 'types'),
         ourvidz.texts(value -> 'default_model_types'), ourvidz.texts(value -> 'models'),
         now_at + ourvidz.seconds(ttl_seconds)
    from jsonb_array_elements(announce_offers.offers)
  on conflict on constraint offers_pkey do update
    set types = excluded.types, default_model_types = excluded.default_model_types, models = excluded.models,
        expires_at = excluded.expires_at;
  -- Of containers that are gone; one that another call is busy with is left to the next one.
  delete from public.offers as old using (
    select gone.worker_id, gone.worker from public.offers as gone where gone.expires_at <= now_at for update skip locked) as gone
   where old.worker_id = gone.worker_id and old.worker = gone.worker;
  return jsonb_array_length(offers);
end $$;

revoke all on function public.announce_offers(text, jsonb, double precision) from public, anon, authenticated;
grant execute on function public.announce_offers(text, jsonb, double precision) to service_role;
