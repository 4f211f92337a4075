-- Taking jobs by what a container offers, and ends that nobody has reported.

-- The needs of jobs that an offer covers, as two lists of the same length: a job type, and a model's name, empty for
-- jobs that name none. Both null: whatever there is.
create or replace function ourvidz.needs_of(offer jsonb, out types text[], out models text[])
language sql immutable set search_path = '' as $$
  select case when offer is null then null else coalesce(array_agg(need.type), '{}') end,
         case when offer is null then null else coalesce(array_agg(need.model), '{}') end
    from (
      select distinct type, model from unnest(ourvidz.texts(offer -> 'types')) as type
       cross join unnest(ourvidz.texts(offer -> 'models')) as model
      union all
      select distinct type, '' from unnest(ourvidz.texts(offer -> 'types')) as type
       where type = any (ourvidz.texts(offer -> 'default_model_types'))) as need
$$;

drop function if exists ourvidz.next_job(text, text[], uuid[]);

-- The job that a worker should run next, of those whose need is among these: highest priority, then the oldest. A younger
-- job for a model that the executor holds goes before it when it has the same priority and user and is among the 32 that
-- arrived from there on. The window is counted in arrivals, so a job is passed over by 31 at the most and cannot starve.
create or replace function ourvidz.next_job(
  worker_name text, held_models text[], need_types text[], need_models text[], passed uuid[])
returns uuid language plpgsql stable set search_path = '' as $$
declare
  now_at constant timestamptz := ourvidz.clock();
  head record;
  chosen uuid;
begin
  if need_types is null then
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
     and (need_types is null or (candidate.type, coalesce(candidate.model_variant, '')) in (
       select need.type, need.model from unnest(need_types, need_models) as need (type, model)))
   order by coalesce(candidate.model_variant = any (held_models), false) desc, candidate.sequence
   limit 1;
  return chosen;
end $$;

drop function if exists ourvidz.lock_next_job(text, text[]);

-- Locks the next job for whoever runs this transaction; null when none is due. What others have locked is theirs. A job is
-- locked only when it is the one that is claimed: one that is passed over must not look taken to somebody else.
create or replace function ourvidz.lock_next_job(
  worker_name text, held_models text[], need_types text[], need_models text[])
returns public.jobs language plpgsql set search_path = '' as $$
declare
  job public.jobs;
  passed uuid[] := '{}';
  chosen uuid;
begin
  loop
    chosen := ourvidz.next_job(worker_name, held_models, need_types, need_models, passed);
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

create or replace function ourvidz.lease_job(job public.jobs, worker_id text, lease_seconds double precision, ticket text)
returns jsonb language plpgsql set search_path = '' as $$
declare
  now_at constant timestamptz := ourvidz.clock();
  lease_ends_at constant timestamptz := now_at + ourvidz.seconds(lease_seconds);
  token constant text := gen_random_uuid();
begin
  update public.jobs
     set status = 'running', attempt = attempt + 1, lease_token = token, lease_expires_at = lease_ends_at,
         started_at = now_at, worker_id = lease_job.worker_id, progress = null,
         queue_seconds = greatest(extract(epoch from now_at - available_at), 0)
   where id = job.id;
  insert into public.job_attempts (job_id, token, ticket, attempt, worker_id, started_at)
  values (job.id, token, lease_job.ticket, job.attempt + 1, lease_job.worker_id, now_at);
  return jsonb_build_object(
    'job_id', job.id, 'job', job.element, 'worker', job.worker, 'token', token, 'attempt', job.attempt + 1,
    'run', job.run, 'queued_at_ms', ourvidz.ms(least(job.available_at, now_at)), 'taken_at_ms', ourvidz.ms(now_at),
    'expires_at_ms', ourvidz.ms(lease_ends_at), 'previous_error', job.error);
end $$;

-- Leases due jobs.
--
--   requests       [{"worker", "slots", "held_models": [name, …], "offer": {"types": [name, …],
--                  "default_model_types": [name, …], "models": [name, …]}}, …]. Jobs outside of the offer stay where they
--                  are; without one, nothing is outside. A job that names no model needs its type among
--                  `default_model_types`, another one its model among `models`.
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
    for slot in 1 .. least(greatest(coalesce(ourvidz.to_number(request -> 'slots'), 0), 0), 100)::integer loop
      job := ourvidz.lock_next_job(request ->> 'worker', held, needs.types, needs.models);
      exit when job.id is null;
      leases := leases || ourvidz.lease_job(job, claim_jobs.worker_id, lease_seconds, claim_jobs.ticket);
    end loop;
  end loop;
  return leases;
end $$;

revoke all on function public.claim_jobs(text, jsonb, double precision, text, text[]) from public, anon, authenticated;
grant execute on function public.claim_jobs(text, jsonb, double precision, text, text[]) to service_role;

-- Ends that nobody reports, of any worker: given to this container for one lease time. At most 100.
create or replace function ourvidz.claim_ends(lease_seconds double precision, ticket text, unanswered text[])
returns jsonb language sql volatile set search_path = '' as $$
  with chosen as (
    select ends.job_id from public.job_ends as ends
     where ends.free_at <= (select ourvidz.clock()) or ends.ticket = any (unanswered)
     order by ends.free_at limit 100 for update skip locked),
  claimed as (
    update public.job_ends as ends
       set free_at = ourvidz.clock() + ourvidz.seconds(lease_seconds), ticket = claim_ends.ticket
      from chosen where ends.job_id = chosen.job_id
    returning ends.job_id)
  select coalesce(jsonb_agg(jsonb_build_object(
           'job_id', jobs.id, 'job', jobs.element, 'run', jobs.run, 'attempt', jobs.attempt, 'status', jobs.status,
           'error', jobs.error, 'ended_at_ms', ourvidz.ms(jobs.settled_at)) order by jobs.settled_at, jobs.sequence), '[]')
    from claimed join public.jobs on jobs.id = claimed.job_id
$$;

-- Leases due jobs, as claim_jobs does, and gives out ends that nobody has reported yet.
--
-- Returns {"leases": as claim_jobs, "ends": [{"job_id", "job", "run", "attempt", "status", "error", "ended_at_ms"}, …]}
create or replace function public.take_jobs(
  worker_id text, requests jsonb, lease_seconds double precision default 90,
  ticket text default null, unanswered text[] default '{}')
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  leases jsonb := public.claim_jobs(worker_id, requests, lease_seconds, ticket, unanswered);
begin
  return jsonb_build_object(
    'leases', leases, 'ends', ourvidz.claim_ends(lease_seconds, ticket, unanswered));
end $$;

revoke all on function public.take_jobs(text, jsonb, double precision, text, text[]) from public, anon, authenticated;
grant execute on function public.take_jobs(text, jsonb, double precision, text, text[]) to service_role;

-- The final callbacks of these ends are in an outbox: they are forgotten. Returns how many were known.
--
--   ends  [{"job_id", "run"}, …]; of another run than the job's, nothing is forgotten
create or replace function public.ends_reported(ends jsonb)
returns bigint language sql security definer set search_path = '' as $$
  with reported as (
    delete from public.job_ends using public.jobs
     where jobs.id = job_ends.job_id
       and (job_ends.job_id, jobs.run) in (
         select ourvidz.to_uuid(value ->> 'job_id'), (value ->> 'run')::integer from jsonb_array_elements(ends))
    returning 1)
  select count(*) from reported
$$;

revoke all on function public.ends_reported(jsonb) from public, anon, authenticated;
grant execute on function public.ends_reported(jsonb) to service_role;

-- What there could be to take for these workers now, as keys that are new for each time that something becomes due:
-- whoever finds a key that was not there before has something to take. Leases that ran out, jobs that waited too long and
-- ends that nobody reports are among them, the caller's own leases are not. Of more than 20 of a kind, the newest are named.
--
-- Returns {"now_ms", "due": [key, …], "next_ms": when the next delay, lease, limit or claim of an end is over, or null}
create or replace function public.due_jobs(workers text[], held_tokens text[] default '{}')
returns jsonb language sql stable security definer set search_path = '' as $$
  with clock as materialized (select ourvidz.clock() as now_at),
  due as (
    select 'job:' || waiting.sequence as name, waiting.available_at as at from unnest(workers) as named (worker)
     cross join lateral (
       select jobs.sequence, jobs.available_at from public.jobs
        where jobs.worker = named.worker and status = 'queued' and source = 'supabase' and waits_for = 0
          and available_at <= (select now_at from clock)
        order by available_at desc limit 20) as waiting
    union all
    (select 'lease:' || sequence, lease_expires_at from public.jobs
      where worker = any (workers) and lease_expires_at <= (select now_at from clock)
        and lease_token <> all (held_tokens)
      order by lease_expires_at desc limit 20)
    union all
    (select 'overdue:' || sequence, expires_at from public.jobs
      where status = 'queued' and source = 'supabase' and expires_at <= (select now_at from clock)
      order by expires_at desc limit 20)
    union all
    (select 'end:' || job_id, free_at from public.job_ends
      where free_at <= (select now_at from clock)
      order by free_at desc limit 20)),
  upcoming as (
    select min(waiting.at) as at from unnest(workers) as named (worker)
     cross join lateral (
       select min(available_at) as at from public.jobs
        where jobs.worker = named.worker and status = 'queued' and source = 'supabase' and waits_for = 0
          and available_at > (select now_at from clock)) as waiting
    union all
    select min(lease_expires_at) from public.jobs
     where worker = any (workers) and lease_expires_at > (select now_at from clock)
       and lease_token <> all (held_tokens)
    union all
    select min(expires_at) from public.jobs
     where status = 'queued' and source = 'supabase' and expires_at > (select now_at from clock)
    union all
    select min(free_at) from public.job_ends where free_at > (select now_at from clock))
  select jsonb_build_object(
    'now_ms', ourvidz.ms(now_at),
    'due', (select coalesce(jsonb_agg(due.name || ':' || ourvidz.ms(due.at)), '[]') from due),
    'next_ms', (select ourvidz.ms(min(upcoming.at)) from upcoming))
  from clock
$$;

revoke all on function public.due_jobs(text[], text[]) from public, anon, authenticated;
grant execute on function public.due_jobs(text[], text[]) to service_role;
