-- Calls that take jobs and those that sweep wait for nobody while they hold what somebody may wait for: a job whose end
-- changes others ends when all of these are free, else at the next call. A settling call locks what it changes, and no more.

-- Locks the job and those that change with its end, `with_children` also children, as far as nobody else has them. False when
-- somebody has one of them: then nothing of the family is to be changed.
create or replace function ourvidz.lock_free_family(job_id uuid, with_children boolean)
returns boolean language plpgsql set search_path = '' as $$
declare
  family uuid[];
  locked bigint;
begin
  with recursive followed (id) as (
    select job_id
    union
    select follower.id
      from followed cross join lateral (
        select jobs.id from public.jobs where with_children and jobs.parent_job_id = followed.id
        union all
        select jobs.id from public.jobs where jobs.waits_for > 0 and jobs.depends_on @> array[followed.id]) as follower)
  select array_agg(followed.id) into family from followed;
  select count(*) into locked
    from (select from public.jobs where jobs.id = any (family) for update skip locked) as free;
  return locked = cardinality(family);
end $$;

-- Locks what this settling call changes, in the order of ids: a failure and a cancel fail all that wait for the job, a
-- completion counts at those that wait for it itself, and what goes back to the queue changes alone.
create or replace function ourvidz.lock_to_settle(job_id uuid, call text)
returns void language plpgsql set search_path = '' as $$
begin
  if call in ('retry', 'release') then
    perform from public.jobs where id = job_id and cancel_requested_at is null for update;
    if found then
      return;
    end if;
  elsif call = 'complete' then
    perform from public.jobs
      where id = job_id or (waits_for > 0 and depends_on @> array[job_id]) order by id for update;
    return;
  end if;
  perform ourvidz.lock_with_followers(array[job_id], false);
end $$;

-- Gives back jobs whose lease ran out; a job whose cancel was asked ends.
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
    continue when job.cancel_requested_at is not null and not ourvidz.lock_free_family(job.id, false);
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

-- Ends jobs that waited longer than they may. Rows that somebody is busy with are left to the next call.
create or replace function ourvidz.expire_waiting(most integer)
returns integer language plpgsql set search_path = '' as $$
declare
  job public.jobs;
  expired integer := 0;
begin
  for job in
    select * from public.jobs
     where status = 'queued' and source = 'supabase' and expires_at <= (select ourvidz.clock())
     order by expires_at limit most for update skip locked
  loop
    continue when not ourvidz.lock_free_family(job.id, false);
    perform ourvidz.expire_job(job);
    expired := expired + 1;
  end loop;
  return expired;
end $$;

-- What an app may call from time to time (pg_cron), as in expiry.sql.
create or replace function public.sweep_expired(keep_days double precision default null, most integer default 500)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  expired integer := ourvidz.expire_leases(greatest(most, 0));
  overdue integer := ourvidz.expire_waiting(greatest(most, 0));
  deleted bigint := 0;
begin
  if keep_days is not null then
    with old as (
      select id from public.jobs
       where settled_at < (select ourvidz.clock()) - make_interval(secs => keep_days * 86400)
       order by settled_at limit greatest(most, 0) for update skip locked)
    delete from public.jobs using old where jobs.id = old.id and ourvidz.lock_free_family(old.id, true);
    get diagnostics deleted = row_count;
  end if;
  return jsonb_build_object('expired', expired, 'overdue', overdue, 'deleted', deleted);
end $$;

revoke all on function public.sweep_expired(double precision, integer) from public, anon, authenticated;
grant execute on function public.sweep_expired(double precision, integer) to service_role;

-- Locks and returns the job that a worker should run next, as in skipping.sql; null when there is none.
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

-- Leases due jobs, as in skipping.sql.
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
  -- What is waited for comes first, while nothing is locked that somebody else may wait for.
  if cardinality(claim_jobs.unanswered) > 0 then
    perform ourvidz.lock_with_followers(array(
      select attempts.job_id from public.job_attempts as attempts
       where attempts.ticket = any (claim_jobs.unanswered) and attempts.outcome = 'running'), false);
  end if;
  for lost in
    select attempts.job_id, attempts.token from public.job_attempts as attempts
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

-- Settles a lease, as in release_reasons.sql.
create or replace function public.settle_job(settlement jsonb)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  job_id constant uuid := ourvidz.to_uuid(settlement ->> 'job_id');
  token constant text := settlement ->> 'token';
  call constant text := settlement ->> 'call';
  error constant jsonb := nullif(settlement -> 'error', 'null');
  job public.jobs;
  became text;
begin
  if call is null or call not in ('complete', 'fail', 'cancelled', 'retry', 'release') then
    perform ourvidz.refuse(400, 'INVALID_REQUEST', format('A lease cannot be settled by "%s".', call));
  end if;
  perform ourvidz.lock_to_settle(job_id, call);
  select * into job from public.jobs where id = job_id and lease_token = token for update;
  if not found or ourvidz.is_settled(job.status) then
    became := ourvidz.settled_before(job_id, token, call);
    if became is null then
      return '{"outcome": "lost"}';
    end if;
    -- A callback brought the job to this end; now its container has settled it too.
    update public.jobs set lease_token = null where id = job.id;
    return jsonb_build_object('outcome', 'settled', 'became', became);
  end if;
  if job.status = 'queued' then
    perform ourvidz.revive_lease(job);
  end if;
  if call in ('retry', 'release') then
    perform ourvidz.requeue_job(job, call,
      coalesce(ourvidz.to_number(settlement -> 'delay_seconds'), 0),
      case call when 'retry' then error end);
    if job.cancel_requested_at is null then
      update public.job_attempts as attempts
         set release_reason = jsonb_build_object('code', left(settlement #>> '{reason,code}', 64),
                                         'message', left(settlement #>> '{reason,message}', 300))
       where attempts.token = job.lease_token and call = 'release'
         and settlement #>> '{reason,code}' is not null and settlement #>> '{reason,message}' is not null;
      return '{"outcome": "settled", "became": "requeued"}';
    end if;
    insert into public.job_ends (job_id, free_at)
    values (job.id, ourvidz.clock() + ourvidz.seconds(coalesce(ourvidz.to_number(settlement -> 'lease_seconds'), 90)));
    return '{"outcome": "settled", "became": "cancelled"}';
  end if;
  case call
    when 'complete' then
      job := ourvidz.end_job(job, 'completed', settlement -> 'result', null);
      perform ourvidz.write_assets(job, settlement #> '{result,assets}', false);
      update public.jobs set metadata = coalesce(settlement #> '{result,metadata}', metadata) where id = job.id;
    when 'fail' then
      job := ourvidz.end_job(job, 'failed', null, error);
    else
      job := ourvidz.end_job(job, 'cancelled', null, null);
  end case;
  perform ourvidz.write_usage(job, coalesce(ourvidz.to_number(settlement #> '{result,metadata,generation_time}'),
                                            extract(epoch from job.settled_at - job.started_at)));
  update public.jobs set lease_token = null where id = job.id;
  return jsonb_build_object('outcome', 'settled', 'became', job.status);
end $$;

revoke all on function public.settle_job(jsonb) from public, anon, authenticated;
grant execute on function public.settle_job(jsonb) to service_role;
