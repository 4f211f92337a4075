-- Jobs of the source "supabase": claimed, renewed and settled by containers. Every call may be repeated after its
-- answer was lost: a claim by its ticket, the others by the lease's token.

-- The last error of an attempt, for a job whose newest attempt no longer counts.
create or replace function ourvidz.previous_error(job_id uuid)
returns jsonb language sql stable set search_path = '' as $$
  select attempts.error from ourvidz.job_attempts as attempts
   where attempts.job_id = previous_error.job_id and attempts.error is not null
   order by attempts.sequence desc limit 1
$$;

-- Gives back jobs whose lease ran out; a job whose cancel was asked ends.
create or replace function ourvidz.expire_leases(most integer, only_job uuid default null)
returns integer language plpgsql set search_path = '' as $$
declare
  now_at constant timestamptz := ourvidz.clock();
  reason constant jsonb := jsonb_build_object('code', 'LEASE_EXPIRED',
    'message', 'The lease ran out before the attempt ended: its worker crashed, hung or was cut off.');
  job ourvidz.jobs;
  expired integer := 0;
begin
  for job in
    select * from ourvidz.jobs
     where lease_expires_at <= now_at and status = 'running' and (only_job is null or id = only_job)
     order by lease_expires_at limit most for update skip locked
  loop
    continue when job.cancel_requested_at is not null and not ourvidz.lock_free_family(job.id, false);
    update ourvidz.job_attempts set outcome = 'expired', ended_at = now_at, error = reason where token = job.lease_token;
    if job.cancel_requested_at is null then
      update ourvidz.jobs
         set status = 'queued', available_at = lease_expires_at, lease_expires_at = null, progress = null, error = reason
       where id = job.id;
    else
      update ourvidz.jobs
         set status = 'cancelled', settled_at = now_at, lease_token = null, lease_expires_at = null, progress = null,
             error = null
       where id = job.id returning * into job;
      perform ourvidz.write_usage(job, 0);
    end if;
    expired := expired + 1;
  end loop;
  return expired;
end $$;

create or replace function ourvidz.lease_job(job ourvidz.jobs, worker_id text, lease_seconds double precision, ticket text)
returns jsonb language plpgsql set search_path = '' as $$
declare
  now_at constant timestamptz := ourvidz.clock();
  lease_ends_at constant timestamptz := now_at + ourvidz.seconds(lease_seconds);
  token constant text := gen_random_uuid();
begin
  update ourvidz.jobs
     set status = 'running', attempt = attempt + 1, lease_token = token, lease_expires_at = lease_ends_at,
         started_at = now_at, worker_id = lease_job.worker_id, progress = null,
         queue_seconds = greatest(extract(epoch from now_at - available_at), 0)
   where id = job.id;
  insert into ourvidz.job_attempts (job_id, token, ticket, attempt, worker_id, started_at)
  values (job.id, token, lease_job.ticket, job.attempt + 1, lease_job.worker_id, now_at);
  return jsonb_build_object(
    'job_id', job.id, 'job', job.element, 'worker', job.worker, 'token', token, 'attempt', job.attempt + 1,
    'run', job.run, 'queued_at_ms', ourvidz.ms(least(job.available_at, now_at)), 'taken_at_ms', ourvidz.ms(now_at),
    'expires_at_ms', ourvidz.ms(lease_ends_at), 'previous_error', job.error);
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
  job ourvidz.jobs;
  leases jsonb := '[]';
  lost record;
begin
  if lease_seconds is null or lease_seconds not between 1 and 86400 then
    perform ourvidz.refuse(400, 'INVALID_REQUEST', 'lease_seconds must be a number from 1 to 86400.');
  end if;
  -- What is waited for comes first, while nothing is locked that somebody else may wait for.
  if cardinality(claim_jobs.unanswered) > 0 then
    perform ourvidz.lock_with_followers(array(
      select attempts.job_id from ourvidz.job_attempts as attempts
       where attempts.ticket = any (claim_jobs.unanswered) and attempts.outcome = 'running'), false);
  end if;
  for lost in
    select attempts.job_id, attempts.token from ourvidz.job_attempts as attempts
     where attempts.ticket = any (claim_jobs.unanswered) and attempts.outcome = 'running'
  loop
    -- No container knows of the lease, so an end by it is nobody's to report: it is free at once.
    perform public.settle_job(jsonb_build_object(
      'job_id', lost.job_id, 'token', lost.token, 'call', 'release', 'lease_seconds', 0));
  end loop;
  perform ourvidz.expire_leases(100);
  perform ourvidz.expire_waiting(100);
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

-- Renews leases, also one that ran out and whose job nobody has claimed since.
--
--   renewals  [{"job_id", "token", "progress": 0 to 1, optional}, …]
--
-- Returns one of "held", "cancelled" (its cancel was asked: settle it so) and "lost" for each, in order.
create or replace function public.renew_leases(renewals jsonb, lease_seconds double precision default 90)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  renewal jsonb;
  job ourvidz.jobs;
  outcomes jsonb := '[]';
begin
  for renewal in select value from jsonb_array_elements(renewals) loop
    select * into job from ourvidz.jobs
     where id = ourvidz.to_uuid(renewal ->> 'job_id') and lease_token = renewal ->> 'token' for update;
    if not found then
      outcomes := outcomes || '"lost"';
    elsif ourvidz.is_settled(job.status) then
      -- A callback has ended it; its container has only to settle it.
      outcomes := outcomes || '"held"';
    else
      if job.status = 'queued' then
        perform ourvidz.revive_lease(job);
      end if;
      update ourvidz.jobs
         set status = 'running', lease_expires_at = ourvidz.clock() + ourvidz.seconds(lease_seconds),
             progress = greatest(least(coalesce(ourvidz.to_number(renewal -> 'progress'), progress), 1), 0)
       where id = job.id;
      outcomes := outcomes || case when job.cancel_requested_at is null then '"held"' else '"cancelled"' end::jsonb;
    end if;
  end loop;
  return outcomes;
end $$;

revoke all on function public.renew_leases(jsonb, double precision) from public, anon, authenticated;
grant execute on function public.renew_leases(jsonb, double precision) to service_role;

-- The other half of using a lease that had run out: its attempt goes on, and the job's error is again the one before.
create or replace function ourvidz.revive_lease(job ourvidz.jobs)
returns void language plpgsql set search_path = '' as $$
begin
  update ourvidz.job_attempts set outcome = 'running', ended_at = null, error = null where token = job.lease_token;
  update ourvidz.jobs
     set status = 'running', lease_expires_at = ourvidz.clock(), error = ourvidz.previous_error(job.id)
   where id = job.id;
end $$;

-- What an app may call from time to time (pg_cron): brings jobs of dead containers back, ends those that waited longer
-- than they may, forgets old ones. `keep_days` null keeps everything. Claims see to the first two by themselves.
create or replace function public.sweep_expired(keep_days double precision default null, most integer default 500)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  expired integer := ourvidz.expire_leases(greatest(most, 0));
  overdue integer := ourvidz.expire_waiting(greatest(most, 0));
  deleted bigint := 0;
begin
  if keep_days is not null then
    with old as (
      select id from ourvidz.jobs
       where settled_at < (select ourvidz.clock()) - make_interval(secs => keep_days * 86400)
       order by settled_at limit greatest(most, 0) for update skip locked)
    delete from ourvidz.jobs using old where jobs.id = old.id and ourvidz.lock_free_family(old.id, true);
    get diagnostics deleted = row_count;
  end if;
  return jsonb_build_object('expired', expired, 'overdue', overdue, 'deleted', deleted);
end $$;

revoke all on function public.sweep_expired(double precision, integer) from public, anon, authenticated;
grant execute on function public.sweep_expired(double precision, integer) to service_role;

-- Ends a job that waited longer than it may; the caller has it locked.
create or replace function ourvidz.expire_job(job ourvidz.jobs)
returns void language plpgsql set search_path = '' as $$
declare
  cause text := '';
begin
  if job.waits_for > 0 then
    cause := format(' It waited for %s that %s not completed.',
      case job.waits_for when 1 then 'a job' else job.waits_for || ' jobs' end,
      case job.waits_for when 1 then 'has' else 'have' end);
  elsif not ourvidz.is_offered(job.worker, job.type, job.model_variant) then
    cause := format(' It needed the job type %s%s, which no container offered.', job.type, ' with the model ' || job.model_variant);
  end if;
  update ourvidz.jobs
     set status = 'failed', settled_at = ourvidz.clock(), lease_token = null, progress = null,
         error = jsonb_build_object('code', 'EXPIRED', 'message', format(
           'The job waited longer than its own limit of %s s (config.expires_in_seconds).%s',
           job.element #>> '{config,expires_in_seconds}', cause))
   where id = job.id and status = 'queued';
end $$;

-- Ends jobs that waited longer than they may. Rows that somebody is busy with are left to the next call.
create or replace function ourvidz.expire_waiting(most integer)
returns integer language plpgsql set search_path = '' as $$
declare
  job ourvidz.jobs;
  expired integer := 0;
begin
  for job in
    select * from ourvidz.jobs
     where status = 'queued' and source = 'supabase' and expires_at <= (select ourvidz.clock())
     order by expires_at limit most for update skip locked
  loop
    continue when not ourvidz.lock_free_family(job.id, false);
    perform ourvidz.expire_job(job);
    expired := expired + 1;
  end loop;
  return expired;
end $$;

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

drop function if exists ourvidz.lock_next_job(text, text[]);

-- Ends that nobody reports, of any worker: given to this container for one lease time. At most 100.
create or replace function ourvidz.claim_ends(lease_seconds double precision, ticket text, unanswered text[])
returns jsonb language sql volatile set search_path = '' as $$
  with chosen as (
    select ends.job_id from ourvidz.job_ends as ends
     where ends.free_at <= (select ourvidz.clock()) or ends.ticket = any (unanswered)
     order by ends.free_at limit 100 for update skip locked),
  claimed as (
    update ourvidz.job_ends as ends
       set free_at = ourvidz.clock() + ourvidz.seconds(lease_seconds), ticket = claim_ends.ticket
      from chosen where ends.job_id = chosen.job_id
    returning ends.job_id)
  select coalesce(jsonb_agg(jsonb_build_object(
           'job_id', jobs.id, 'job', jobs.element, 'run', jobs.run, 'attempt', jobs.attempt, 'status', jobs.status,
           'error', jobs.error, 'ended_at_ms', ourvidz.ms(jobs.settled_at)) order by jobs.settled_at, jobs.sequence), '[]')
    from claimed join ourvidz.jobs on jobs.id = claimed.job_id
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
    delete from ourvidz.job_ends using ourvidz.jobs
     where jobs.id = job_ends.job_id
       and (job_ends.job_id, jobs.run) in (
         select ourvidz.to_uuid(value ->> 'job_id'), (value ->> 'run')::integer from jsonb_array_elements(ends))
    returning 1)
  select count(*) from reported
$$;

revoke all on function public.ends_reported(jsonb) from public, anon, authenticated;
grant execute on function public.ends_reported(jsonb) to service_role;

-- A container may skip jobs of some users and types for a while, so that others' go first: they are offered nonetheless, and
-- another container takes them.

-- To find the first job of each user, type and model, however many jobs of others stand before it.
create index if not exists jobs_to_claim_by_owner
  on ourvidz.jobs (worker, (coalesce(user_id::text, 'anonymous')), type, (coalesce(model_variant, '')), priority desc, sequence)
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
  best ourvidz.jobs;
  first ourvidz.jobs;
  -- Where the walk through the owners stands; without a model: at the next one.
  at_user text := '';
  at_type text := '';
  at_model text;
  in_model text;
begin
  select job.id into chosen from (
    select id, priority, sequence, user_id, type, model_variant, available_at from ourvidz.jobs
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
      select coalesce(model_variant, '') into in_model from ourvidz.jobs
       where worker = worker_name and coalesce(user_id::text, 'anonymous') = at_user and type = at_type
         and coalesce(model_variant, '') > at_model
         and status = 'queued' and source = 'supabase' and waits_for = 0
       order by coalesce(model_variant, '') limit 1;
    end if;
    if in_model is null then
      select coalesce(user_id::text, 'anonymous'), type, coalesce(model_variant, '') into at_user, at_type, in_model
        from ourvidz.jobs
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
    select * into first from ourvidz.jobs
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
    select id, sequence, priority, user_id into head from ourvidz.jobs
     where id = ourvidz.first_unskipped(worker_name, need_types, need_models, skipped_users, skipped_types, passed);
  elsif need_types is null then
    select id, sequence, priority, user_id into head from ourvidz.jobs
     where worker = worker_name and status = 'queued' and source = 'supabase' and waits_for = 0
       and available_at <= now_at and id <> all (passed)
     order by priority desc, sequence limit 1;
  else
    select each.id, each.sequence, each.priority, each.user_id into head
      from unnest(need_types, need_models) as need (type, model)
     cross join lateral (
       select jobs.id, jobs.sequence, jobs.priority, jobs.user_id from ourvidz.jobs
        where jobs.worker = worker_name and jobs.type = need.type and coalesce(jobs.model_variant, '') = need.model
          and jobs.status = 'queued' and jobs.source = 'supabase' and jobs.waits_for = 0
          and jobs.available_at <= now_at and jobs.id <> all (passed)
        order by jobs.priority desc, jobs.sequence limit 1) as each
     order by each.priority desc, each.sequence limit 1;
  end if;
  if head.id is null or cardinality(held_models) = 0 then
    return head.id;
  end if;
  select candidate.id into chosen from ourvidz.jobs as candidate
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
returns ourvidz.jobs language plpgsql set search_path = '' as $$
declare
  job ourvidz.jobs;
  passed uuid[] := '{}';
  chosen uuid;
begin
  loop
    chosen := ourvidz.next_job(
      worker_name, held_models, need_types, need_models, skipped_users, skipped_types, passed);
    exit when chosen is null;
    select * into job from ourvidz.jobs
     where id = chosen and status = 'queued' and available_at <= (select ourvidz.clock()) for update skip locked;
    if not found then
      passed := passed || chosen;
    elsif job.expires_at <= ourvidz.clock() then
      if ourvidz.lock_free_family(job.id, false) then
        perform ourvidz.expire_job(job);
      else
        passed := passed || chosen;
      end if;
    else
      return job;
    end if;
  end loop;
  return null;
end $$;
