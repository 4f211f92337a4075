-- A container may skip jobs of some users and types for a while, so that others' go first: they are offered nonetheless, and
-- another container takes them.

-- To find the first job of each user, type and model, however many jobs of others stand before it.
create index if not exists jobs_to_claim_by_owner
  on public.jobs (worker, (coalesce(user_id::text, 'anonymous')), type, (coalesce(model_variant, '')), priority desc, sequence)
  where status = 'queued' and source = 'supabase' and waits_for = 0;

-- The users and types that a request skips, as two lists of the same length. At most 32.
create or replace function ourvidz.skipped_by(request jsonb, out users text[], out types text[])
language sql immutable set search_path = '' as $$
  select coalesce(array_agg(each.value ->> 'user_id'), '{}'), coalesce(array_agg(each.value ->> 'type'), '{}')
    from (
      select value from jsonb_array_elements(
               case jsonb_typeof(request -> 'skip') when 'array' then request -> 'skip' else '[]' end)
       limit 32) as each
$$;

create or replace function ourvidz.is_skipped(user_id uuid, type text, skipped_users text[], skipped_types text[])
returns boolean language sql immutable set search_path = '' as $$
  select (coalesce(user_id::text, 'anonymous'), type) in (
    select skipped.owner, skipped.type from unnest(skipped_users, skipped_types) as skipped (owner, type))
$$;

-- The first job of a worker that is not skipped: highest priority, then the oldest. Of the first 1,000 jobs it is found
-- exactly. Where there is none among them, the first of each user, type and model is looked for, of 300 of these: what one
-- user has waiting costs one look, however much it is.
create or replace function ourvidz.first_unskipped(
  worker_name text, need_types text[], need_models text[], skipped_users text[], skipped_types text[], passed uuid[])
returns uuid language plpgsql stable set search_path = '' as $$
declare
  now_at constant timestamptz := ourvidz.clock();
  chosen uuid;
  best public.jobs;
  first public.jobs;
  -- Where the walk through the owners stands; without a model: at the next one.
  at_user text := '';
  at_type text := '';
  at_model text;
  in_model text;
begin
  select job.id into chosen from (
    select id, priority, sequence, user_id, type, model_variant, available_at from public.jobs
     where worker = worker_name and status = 'queued' and source = 'supabase' and waits_for = 0
     order by priority desc, sequence limit 1000) as job
   where job.available_at <= now_at and job.id <> all (passed)
     and not ourvidz.is_skipped(job.user_id, job.type, skipped_users, skipped_types)
     and (need_types is null or (job.type, coalesce(job.model_variant, '')) in (
       select need.type, need.model from unnest(need_types, need_models) as need (type, model)))
   order by job.priority desc, job.sequence limit 1;
  if chosen is not null then
    return chosen;
  end if;
  for place in 1 .. 300 loop
    in_model := null;
    if at_model is not null then
      select coalesce(model_variant, '') into in_model from public.jobs
       where worker = worker_name and coalesce(user_id::text, 'anonymous') = at_user and type = at_type
         and coalesce(model_variant, '') > at_model
         and status = 'queued' and source = 'supabase' and waits_for = 0
       order by coalesce(model_variant, '') limit 1;
    end if;
    if in_model is null then
      select coalesce(user_id::text, 'anonymous'), type, coalesce(model_variant, '') into at_user, at_type, in_model
        from public.jobs
       where worker = worker_name and (coalesce(user_id::text, 'anonymous'), type) > (at_user, at_type)
         and status = 'queued' and source = 'supabase' and waits_for = 0
       order by coalesce(user_id::text, 'anonymous'), type, coalesce(model_variant, '') limit 1;
      exit when not found;
    end if;
    at_model := in_model;
    if at_type <> all (need_types)
       or (at_user, at_type) in (
         select skipped.owner, skipped.type from unnest(skipped_users, skipped_types) as skipped (owner, type)) then
      at_model := null;
      continue;
    end if;
    continue when need_types is not null and (at_type, at_model) not in (
      select need.type, need.model from unnest(need_types, need_models) as need (type, model));
    select * into first from public.jobs
     where worker = worker_name and coalesce(user_id::text, 'anonymous') = at_user and type = at_type
       and coalesce(model_variant, '') = at_model and status = 'queued' and source = 'supabase' and waits_for = 0
       and available_at <= now_at and id <> all (passed)
     order by priority desc, sequence limit 1;
    if found and (best.id is null or (-first.priority, first.sequence) < (-best.priority, best.sequence)) then
      best := first;
    end if;
  end loop;
  return best.id;
end $$;

drop function if exists ourvidz.next_job(text, text[], text[], text[], uuid[]);

-- The job that a worker should run next, of those whose need is among these and that are not skipped: highest priority, then
-- the oldest. A younger job for a model that the executor holds goes before it when it has the same priority and user and
-- is among the 32 that arrived from there on. The window is counted in arrivals, so a job is passed over by 31 at the most
-- and cannot starve.
create or replace function ourvidz.next_job(
  worker_name text, held_models text[], need_types text[], need_models text[],
  skipped_users text[], skipped_types text[], passed uuid[])
returns uuid language plpgsql stable set search_path = '' as $$
declare
  now_at constant timestamptz := ourvidz.clock();
  head record;
  chosen uuid;
begin
  if cardinality(skipped_users) > 0 then
    select id, sequence, priority, user_id into head from public.jobs
     where id = ourvidz.first_unskipped(worker_name, need_types, need_models, skipped_users, skipped_types, passed);
  elsif need_types is null then
    select id, sequence, priority, user_id into head from public.jobs
     where worker = worker_name and status = 'queued' and source = 'supabase' and waits_for = 0
       and available_at <= now_at and id <> all (passed)
     order by priority desc, sequence limit 1;
  else
    select each.id, each.sequence, each.priority, each.user_id into head
      from unnest(need_types, need_models) as need (type, model)
     cross join lateral (
       select jobs.id, jobs.sequence, jobs.priority, jobs.user_id from public.jobs
        where jobs.worker = worker_name and jobs.type = need.type and coalesce(jobs.model_variant, '') = need.model
          and jobs.status = 'queued' and jobs.source = 'supabase' and jobs.waits_for = 0
          and jobs.available_at <= now_at and jobs.id <> all (passed)
        order by jobs.priority desc, jobs.sequence limit 1) as each
     order by each.priority desc, each.sequence limit 1;
  end if;
  if head.id is null or cardinality(held_models) = 0 then
    return head.id;
  end if;
  select candidate.id into chosen from public.jobs as candidate
   where candidate.sequence between head.sequence and head.sequence + 31
     and candidate.worker = worker_name and candidate.status = 'queued' and candidate.source = 'supabase'
     and candidate.waits_for = 0 and candidate.available_at <= now_at and candidate.id <> all (passed)
     and candidate.priority = head.priority and candidate.user_id is not distinct from head.user_id
     and not ourvidz.is_skipped(candidate.user_id, candidate.type, skipped_users, skipped_types)
     and (need_types is null or (candidate.type, coalesce(candidate.model_variant, '')) in (
       select need.type, need.model from unnest(need_types, need_models) as need (type, model)))
   order by coalesce(candidate.model_variant = any (held_models), false) desc, candidate.sequence
   limit 1;
  return chosen;
end $$;

drop function if exists ourvidz.lock_next_job(text, text[], text[], text[]);

-- Locks the next job for whoever runs this transaction; null when none is due. What others have locked is theirs. A job is
-- locked only when it is the one that is claimed: one that is passed over must not look taken to somebody else.
create or replace function ourvidz.lock_next_job(
  worker_name text, held_models text[], need_types text[], need_models text[], skipped_users text[], skipped_types text[])
returns public.jobs language plpgsql set search_path = '' as $$
declare
  job public.jobs;
  passed uuid[] := '{}';
  chosen uuid;
begin
  loop
    chosen := ourvidz.next_job(
      worker_name, held_models, need_types, need_models, skipped_users, skipped_types, passed);
    exit when chosen is null;
    select * into job from public.jobs
     where id = chosen and status = 'queued' and available_at <= (select ourvidz.clock()) for update skip locked;
    if not found then
      passed := passed || chosen;
    elsif job.expires_at <= ourvidz.clock() then
      perform ourvidz.expire_job(job);
    else
      return job;
    end if;
  end loop;
  return null;
end $$;

-- Leases due jobs.
--
--   requests       [{"worker", "slots", "held_models": [name, …], "offer": {"types": [name, …],
--                  "default_model_types": [name, …], "models": [name, …]}, "skip": [{"user_id", "type"}, …]}, …]. Jobs
--                  outside of the offer stay where they are, and so do those to be skipped; without an offer, nothing is
--                  outside. A job that names no model needs its type among `default_model_types`, another one its model
--                  among `models`.
--   ticket         names this call; one that was never answered is named among `unanswered` later
--   unanswered     tickets whose answer was lost: their leases are given back, uncharged
--
-- Returns [{"job_id", "job", "worker", "token", "attempt", "run", "queued_at_ms", "taken_at_ms", "expires_at_ms",
-- "previous_error"}, …]. Containers call take_jobs below, those of earlier versions this.
create or replace function public.claim_jobs(
  worker_id text, requests jsonb, lease_seconds double precision default 90,
  ticket text default null, unanswered text[] default '{}')
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  request jsonb;
  held text[];
  needs record;
  skipped record;
  job public.jobs;
  leases jsonb := '[]';
  lost record;
begin
  if lease_seconds is null or lease_seconds not between 1 and 86400 then
    perform ourvidz.refuse(400, 'INVALID_REQUEST', 'lease_seconds must be a number from 1 to 86400.');
  end if;
  perform ourvidz.expire_leases(100);
  perform ourvidz.expire_waiting(100);
  for lost in
    select attempts.job_id, attempts.token from public.job_attempts as attempts
     where attempts.ticket = any (claim_jobs.unanswered) and attempts.outcome = 'running'
  loop
    -- No container knows of the lease, so an end by it is nobody's to report: it is free at once.
    perform public.settle_job(jsonb_build_object(
      'job_id', lost.job_id, 'token', lost.token, 'call', 'release', 'lease_seconds', 0));
  end loop;
  for request in select value from jsonb_array_elements(requests) loop
    held := (ourvidz.texts(request -> 'held_models'))[1:32];
    needs := ourvidz.needs_of(nullif(request -> 'offer', 'null'));
    skipped := ourvidz.skipped_by(request);
    for slot in 1 .. least(greatest(coalesce(ourvidz.to_number(request -> 'slots'), 0), 0), 100)::integer loop
      job := ourvidz.lock_next_job(
        request ->> 'worker', held, needs.types, needs.models, skipped.users, skipped.types);
      exit when job.id is null;
      leases := leases || ourvidz.lease_job(job, claim_jobs.worker_id, lease_seconds, claim_jobs.ticket);
    end loop;
  end loop;
  return leases;
end $$;

revoke all on function public.claim_jobs(text, jsonb, double precision, text, text[]) from public, anon, authenticated;
grant execute on function public.claim_jobs(text, jsonb, double precision, text, text[]) to service_role;
