-- Jobs of the source "supabase": claimed, renewed and settled by containers. Every call may be repeated after its
-- answer was lost: a claim by its ticket, the others by the lease's token.

-- The last error of an attempt, for a job whose newest attempt no longer counts.
create or replace function ourvidz.previous_error(job_id uuid)
returns jsonb language sql stable set search_path = '' as $$
  select attempts.error from public.job_attempts as attempts
   where attempts.job_id = previous_error.job_id and attempts.error is not null
   order by attempts.sequence desc limit 1
$$;

-- Jobs whose lease ran out wait again, the attempt charged, and keep the token: a late settle is still let in until
-- somebody claims them. Those whose cancel was asked end. Rows that somebody is busy with are left to the next call.
create or replace function ourvidz.expire_leases(most integer, only_job uuid default null)
returns integer language plpgsql set search_path = '' as $$
declare
  now_at constant timestamptz := ourvidz.clock();
  reason constant jsonb := jsonb_build_object('code', 'LEASE_EXPIRED',
    'message', 'The lease ran out before the attempt ended: its worker crashed, hung or was cut off.');
  job public.jobs;
  expired integer := 0;
begin
  for job in
    select * from public.jobs
     where lease_expires_at <= now_at and status = 'running' and (only_job is null or id = only_job)
     order by lease_expires_at limit most for update skip locked
  loop
    update public.job_attempts set outcome = 'expired', ended_at = now_at, error = reason where token = job.lease_token;
    if job.cancel_requested_at is null then
      update public.jobs
         set status = 'queued', available_at = lease_expires_at, lease_expires_at = null, progress = null, error = reason
       where id = job.id;
    else
      update public.jobs
         set status = 'cancelled', settled_at = now_at, lease_token = null, lease_expires_at = null, progress = null,
             error = null
       where id = job.id returning * into job;
      perform ourvidz.write_usage(job, 0);
    end if;
    expired := expired + 1;
  end loop;
  return expired;
end $$;

-- The job that a worker should run next: highest priority, then the oldest. A younger job for a model that the executor
-- holds goes before it when it has the same priority and user and is among the 32 that arrived from there on. The window
-- is counted in arrivals, so a job is passed over by 31 at the most and cannot starve.
create or replace function ourvidz.next_job(worker_name text, held_models text[], passed uuid[])
returns uuid language sql stable set search_path = '' as $$
  with head as (
    select sequence, priority, user_id from public.jobs
     where worker = worker_name and status = 'queued' and source = 'supabase' and waits_for = 0
       and available_at <= (select ourvidz.clock()) and id <> all (passed)
     order by priority desc, sequence limit 1)
  select candidate.id
    from head join public.jobs as candidate
      on candidate.worker = worker_name and candidate.status = 'queued' and candidate.source = 'supabase'
     and candidate.waits_for = 0 and candidate.available_at <= (select ourvidz.clock()) and candidate.id <> all (passed)
     and candidate.priority = head.priority and candidate.user_id is not distinct from head.user_id
     and candidate.sequence between head.sequence and head.sequence + 31
   order by coalesce(candidate.model_variant = any (held_models), false) desc, candidate.sequence
   limit 1
$$;

-- Locks the next job for whoever runs this transaction; null when none is due. What others have locked is theirs.
create or replace function ourvidz.lock_next_job(worker_name text, held_models text[])
returns public.jobs language plpgsql set search_path = '' as $$
declare
  job public.jobs;
  passed uuid[] := '{}';
  chosen uuid;
begin
  if cardinality(held_models) = 0 then
    select * into job from public.jobs
     where worker = worker_name and status = 'queued' and source = 'supabase' and waits_for = 0
       and available_at <= (select ourvidz.clock())
     order by priority desc, sequence limit 1 for update skip locked;
    return job;
  end if;
  -- A job is locked only when it is the one that is claimed: the head of the queue, passed over for a held model, must
  -- not look taken to somebody else.
  loop
    chosen := ourvidz.next_job(worker_name, held_models, passed);
    exit when chosen is null;
    select * into job from public.jobs
     where id = chosen and status = 'queued' and available_at <= (select ourvidz.clock()) for update skip locked;
    exit when found;
    passed := passed || chosen;
  end loop;
  return job;
end $$;

create or replace function ourvidz.lease_job(job public.jobs, worker_id text, lease_seconds double precision, ticket text)
returns jsonb language plpgsql set search_path = '' as $$
declare
  now_at constant timestamptz := ourvidz.clock();
  expires_at constant timestamptz := now_at + ourvidz.seconds(lease_seconds);
  token constant text := gen_random_uuid();
begin
  update public.jobs
     set status = 'running', attempt = attempt + 1, lease_token = token, lease_expires_at = expires_at,
         started_at = now_at, worker_id = lease_job.worker_id, progress = null,
         queue_seconds = greatest(extract(epoch from now_at - available_at), 0)
   where id = job.id;
  insert into public.job_attempts (job_id, token, ticket, attempt, worker_id, started_at)
  values (job.id, token, lease_job.ticket, job.attempt + 1, lease_job.worker_id, now_at);
  return jsonb_build_object(
    'job_id', job.id, 'job', job.element, 'worker', job.worker, 'token', token, 'attempt', job.attempt + 1,
    'queued_at_ms', ourvidz.ms(least(job.available_at, now_at)), 'taken_at_ms', ourvidz.ms(now_at),
    'expires_at_ms', ourvidz.ms(expires_at), 'previous_error', job.error);
end $$;

-- Leases due jobs.
--
--   requests       [{"worker", "slots", "held_models": [name, …]}, …]
--   ticket         names this call; one that was never answered is named among `unanswered` later
--   unanswered     tickets whose answer was lost: their leases are given back, uncharged
--
-- Returns [{"job_id", "job", "worker", "token", "attempt", "queued_at_ms", "taken_at_ms", "expires_at_ms",
-- "previous_error"}, …]
create or replace function public.claim_jobs(
  worker_id text, requests jsonb, lease_seconds double precision default 90,
  ticket text default null, unanswered text[] default '{}')
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  request jsonb;
  held text[];
  job public.jobs;
  leases jsonb := '[]';
  lost record;
begin
  if lease_seconds is null or lease_seconds not between 1 and 86400 then
    perform ourvidz.refuse(400, 'INVALID_REQUEST', 'lease_seconds must be a number from 1 to 86400.');
  end if;
  perform ourvidz.expire_leases(100);
  for lost in
    select attempts.job_id, attempts.token from public.job_attempts as attempts
     where attempts.ticket = any (claim_jobs.unanswered) and attempts.outcome = 'running'
  loop
    perform public.settle_job(jsonb_build_object('job_id', lost.job_id, 'token', lost.token, 'call', 'release'));
  end loop;
  for request in select value from jsonb_array_elements(requests) loop
    select coalesce(array_agg(value), '{}') into held from (
      select value from jsonb_array_elements_text(coalesce(request -> 'held_models', '[]')) limit 32) as models;
    for slot in 1 .. least(greatest(coalesce(ourvidz.to_number(request -> 'slots'), 0), 0), 100)::integer loop
      job := ourvidz.lock_next_job(request ->> 'worker', held);
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
  job public.jobs;
  outcomes jsonb := '[]';
begin
  for renewal in select value from jsonb_array_elements(renewals) loop
    select * into job from public.jobs
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
      update public.jobs
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
create or replace function ourvidz.revive_lease(job public.jobs)
returns void language plpgsql set search_path = '' as $$
begin
  update public.job_attempts set outcome = 'running', ended_at = null, error = null where token = job.lease_token;
  update public.jobs
     set status = 'running', lease_expires_at = ourvidz.clock(), error = ourvidz.previous_error(job.id)
   where id = job.id;
end $$;
