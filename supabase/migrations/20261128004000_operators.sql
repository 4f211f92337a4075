-- ---- looking

create or replace function ourvidz.cancel_answer(job ourvidz.jobs, children jsonb)
returns jsonb language sql immutable set search_path = '' as $$
  select jsonb_build_object(
    'job_id', job.id, 'outcome', case job.status when 'cancelled' then 'cancelled' else 'requested' end,
    'job_status', job.status, 'source', job.source, 'queue', job.queue, 'run', job.run,
    'attempt', greatest(job.attempt, 1), 'children', children)
$$;

create or replace function ourvidz.cancel_one(job ourvidz.jobs, request text)
returns jsonb language plpgsql set search_path = '' as $$
declare
  now_at constant timestamptz := ourvidz.clock();
  -- A job on Redis that nobody has pushed yet is only here. One that was pushed is asked for there too.
  unpushed boolean := false;
  children jsonb;
  child ourvidz.jobs;
begin
  if job.source = 'upstash' and job.status = 'queued' then
    delete from ourvidz.queue_outbox where job_id = job.id;
    unpushed := found;
  end if;
  if job.status = 'queued' and (job.source = 'supabase' or unpushed) then
    update ourvidz.jobs
       set status = 'cancelled', settled_at = now_at, cancel_requested_at = coalesce(cancel_requested_at, now_at),
           operator_request = cancel_one.request, lease_token = null, error = null
     where id = job.id returning * into job;
  else
    update ourvidz.jobs set cancel_requested_at = coalesce(cancel_requested_at, now_at)
     where id = job.id returning * into job;
  end if;
  children := '[]';
  for child in select * from ourvidz.jobs where parent_job_id = job.id and status in ('queued', 'running')
               order by id for update loop
    children := children || ourvidz.cancel_one(child, null);
  end loop;
  return ourvidz.cancel_answer(job, children);
end $$;

-- Ends a queued job at once, and requests the end of a running one: its container hears of it. The children of a job are
-- cancelled with it. `request` names this call, so that it may be repeated after its answer was lost. A job that has been
-- worked off, whose result is on its way to the app, is refused as one that is settled: nothing is left to be stopped.
--
-- Returns what ourvidz.cancel_answer makes. A job of the source "upstash" must also be cancelled on Redis.
create or replace function public.request_cancel(job_id uuid, only_source text default null, request text default null)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  job ourvidz.jobs := ourvidz.lock_job(job_id, only_source);
begin
  -- A job whose container is gone need not wait for its next one to be cancelled.
  if ourvidz.expire_leases(1, job.id) > 0 then
    select * into job from ourvidz.jobs where id = job.id;
  end if;
  if job.status = 'cancelled' and job.operator_request = request then
    return ourvidz.cancel_answer(job, '[]');
  elsif ourvidz.is_settled(job.status) then
    perform ourvidz.refuse(409, 'JOB_ALREADY_SETTLED',
      format('Job %s is %s: there is nothing to cancel.', job.id, job.status),
      jsonb_build_object('status', job.status));
  elsif job.delivery is not null then
    perform ourvidz.refuse(409, 'JOB_ALREADY_SETTLED',
      format('Job %s has been worked off (%s) and is being delivered: there is nothing to cancel.', job.id,
             job.delivery ->> 'becomes'),
      jsonb_build_object('status', 'delivering'));
  end if;
  return ourvidz.cancel_one(job, request);
end $$;

revoke all on function public.request_cancel(uuid, text, text) from public, anon, authenticated;
grant execute on function public.request_cancel(uuid, text, text) to authenticated, service_role;

-- How many jobs a failed job waits for when it is tried again.
create or replace function ourvidz.check_redrive(job ourvidz.jobs)
returns integer language plpgsql set search_path = '' as $$
declare
  waiting integer;
  ended uuid;
begin
  select count(*) filter (where status <> 'completed'),
         (array_agg(id) filter (where status in ('failed', 'cancelled')))[1]
    into waiting, ended
    from ourvidz.jobs where id = any (job.depends_on);
  if ended is not null or waiting < job.waits_for then
    perform ourvidz.refuse(424, 'DEPENDENCY_FAILED', format(
      'Job %s depends on %s, which did not complete: redrive that one first.', job.id,
      coalesce('job ' || ended, 'a job that was deleted')));
  end if;
  return waiting;
end $$;

-- The run of a job on Redis goes on when it is redriven here, whatever Redis still knows of it.

-- The element says which run it begins: where Redis knows the job as failed in an earlier one it is redriven there, and where
-- Redis has forgotten it, it is filed with this number. Counted from 1 again, late callbacks of its first run would be taken
-- for the new one's, and those of the new one for late after its second.
create or replace function ourvidz.redrive_one(job ourvidz.jobs, request text)
returns ourvidz.jobs language plpgsql set search_path = '' as $$
declare
  redriven ourvidz.jobs;
begin
  update ourvidz.jobs
     set status = 'queued', waits_for = ourvidz.check_redrive(job), attempt = 0, run = run + 1,
         earlier_attempts = earlier_attempts + greatest(attempt, 1), cancel_requested_at = null, progress = null,
         error = null, settled_at = null, started_at = null, lease_token = null, metadata = null,
         available_at = ourvidz.clock(), operator_request = redrive_one.request
   where id = job.id returning * into redriven;
  delete from ourvidz.job_attempts as attempts where attempts.job_id = job.id;
  if redriven.source = 'upstash' then
    insert into ourvidz.queue_outbox as outbox (job_id, queue, element, created_at, next_try_at)
    values (redriven.id, redriven.queue, redriven.element || jsonb_build_object('run', redriven.run),
            ourvidz.clock(), ourvidz.clock())
    on conflict (job_id) do update set element = excluded.element, next_try_at = excluded.next_try_at;
  end if;
  return redriven;
end $$;

-- A failed job back to the queue, due now, with its attempts forgotten. One of the source "upstash" must also be redriven
-- on Redis. `request` names this call, as above.
create or replace function public.redrive_job(job_id uuid, only_source text default null, request text default null)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  job ourvidz.jobs := ourvidz.lock_job(job_id, only_source);
begin
  -- Said again, it has been done, whatever has become of the job since.
  if job.operator_request is distinct from request or request is null then
    if job.status <> 'failed' then
      perform ourvidz.refuse(409, 'JOB_NOT_FAILED',
        format('Job %s is %s: only a failed job can be redriven.', job.id, job.status),
        jsonb_build_object('status', job.status));
    end if;
    job := ourvidz.redrive_one(job, request);
  end if;
  return jsonb_build_object('job_id', job.id, 'job_status', job.status, 'source', job.source, 'queue', job.queue);
end $$;

revoke all on function public.redrive_job(uuid, text, text) from public, anon, authenticated;
grant execute on function public.redrive_job(uuid, text, text) to service_role;

-- ---- looking

create or replace function ourvidz.record_of(job ourvidz.jobs)
returns jsonb language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'sequence', job.sequence, 'job', job.element, 'worker', job.worker, 'queue', job.queue, 'source', job.source,
    'status', job.status, 'run', job.run, 'attempt', job.attempt,
    'cancel_requested', job.cancel_requested_at is not null,
    'progress', job.progress, 'waits_for', job.waits_for, 'depends_on', to_jsonb(job.depends_on),
    'waiting_for', ourvidz.waiting_for(job),
    'parent_job_id', job.parent_job_id, 'created_at_ms', ourvidz.ms(job.created_at),
    'available_at_ms', ourvidz.ms(job.available_at), 'expires_at_ms', ourvidz.ms(job.expires_at),
    'started_at_ms', ourvidz.ms(job.started_at),
    'settled_at_ms', ourvidz.ms(job.settled_at), 'delivery', job.delivery, 'result', job.result, 'error', job.error,
    'attempts', coalesce((
      select jsonb_agg(jsonb_build_object(
               'attempt', attempts.attempt, 'worker_id', attempts.worker_id,
               'started_at_ms', ourvidz.ms(attempts.started_at), 'ended_at_ms', ourvidz.ms(attempts.ended_at),
               'outcome', attempts.outcome, 'error', attempts.error,
               'reason', attempts.release_reason) order by attempts.sequence)
        from ourvidz.job_attempts as attempts where attempts.job_id = job.id), '[]'))
$$;

-- One job with its attempts, null when there is none.
create or replace function public.get_job(job_id uuid, only_source text default null)
returns jsonb language sql stable security definer set search_path = '' as $$
  select ourvidz.record_of(jobs) from ourvidz.jobs
   where id = job_id and (only_source is null or source = only_source)
$$;

revoke all on function public.get_job(uuid, text) from public, anon, authenticated;
grant execute on function public.get_job(uuid, text) to service_role;

-- Pages of jobs that are bounded in bytes: a job may have a megabyte, and a page two hundred of them.

-- Newest first. With `max_bytes` in the filter, what one page holds ends there, though never before its first job; the last
-- record then says `more` when there is a next page. Without it one record more than the limit says so, as before.
create or replace function public.list_jobs(filter jsonb default '{}')
returns jsonb language plpgsql stable security definer set search_path = '' as $$
declare
  wanted_status constant ourvidz.job_status := filter ->> 'status';
  wanted_type constant text := filter ->> 'type';
  wanted_source constant text := filter ->> 'source';
  wanted_worker constant text := filter ->> 'worker';
  everybody constant boolean := filter ->> 'user_id' is null;
  wanted_user constant uuid := ourvidz.to_uuid(filter ->> 'user_id');
  before constant bigint := coalesce((filter ->> 'before')::bigint, 9223372036854775807);
  max_jobs constant integer := least(greatest(coalesce((filter ->> 'limit')::integer, 50), 1), 1000);
  max_bytes constant bigint := (filter ->> 'max_bytes')::bigint;
  job ourvidz.jobs;
  record jsonb;
  page jsonb[] := '{}';
  bytes bigint := 0;
begin
  -- A name that is no UUID is nobody's, except the one that stands for jobs of nobody.
  if not everybody and wanted_user is null and filter ->> 'user_id' <> 'anonymous' then
    return '[]';
  end if;
  for job in
    select * from ourvidz.jobs
     where sequence < before
       and (wanted_status is null or status = wanted_status)
       and (wanted_type is null or type = wanted_type)
       and (wanted_source is null or source = wanted_source)
       and (wanted_worker is null or worker = wanted_worker)
       and (everybody or user_id is not distinct from wanted_user)
     order by sequence desc limit max_jobs + 1
  loop
    record := ourvidz.record_of(job);
    if max_bytes is not null then
      bytes := bytes + octet_length(record::text);
      if cardinality(page) = max_jobs or (cardinality(page) > 0 and bytes > max_bytes) then
        page[cardinality(page)] := page[cardinality(page)] || '{"more": true}';
        exit;
      end if;
    end if;
    page := page || record;
  end loop;
  return to_jsonb(page);
end $$;

revoke all on function public.list_jobs(jsonb) from public, anon, authenticated;
grant execute on function public.list_jobs(jsonb) to service_role;

-- Due jobs of a worker whose need no container offers: [{"type", "model", "served", "jobs", "oldest_seconds"}, …], of
-- the 1,000 that would go first.
create or replace function ourvidz.unoffered(worker_name text, now_at timestamptz)
returns jsonb language sql stable set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object(
           'type', need.type, 'model', need.model, 'served', ourvidz.is_served(worker_name), 'jobs', need.jobs,
           'oldest_seconds', round(extract(epoch from now_at - need.since)::numeric, 3)) order by need.since), '[]')
    from (
      select type, model_variant as model, count(*) as jobs, min(available_at) as since
        from (select jobs.type, jobs.model_variant, jobs.available_at from ourvidz.jobs
               where worker = worker_name and status = 'queued' and source = 'supabase' and waits_for = 0
                 and available_at <= now_at
               order by priority desc, sequence limit 1000) as first
       group by type, model_variant) as need
   where not ourvidz.is_offered(worker_name, need.type, need.model)
$$;

-- What each queue holds; jobs that wait for a time or for another job count as delayed. `unoffered` names what due jobs
-- of the source "supabase" need and no container offers.
create or replace function public.queue_stats(only_source text default null)
returns jsonb language sql stable security definer set search_path = '' as $$
  -- Asked once: a time that changes between two rows would part them.
  with clock as materialized (select ourvidz.clock() as now_at)
  select coalesce(jsonb_agg(to_jsonb(each) order by each.queue), '[]') from (
    select counted.queue, counted.worker,
           count(*) filter (where status = 'queued' and is_due) as queued,
           count(*) filter (where status = 'queued' and not is_due) as delayed,
           count(*) filter (where status = 'running') as running,
           count(*) filter (where status = 'failed') as failed,
           round(extract(epoch from now_at - min(available_at) filter (where status = 'queued' and is_due))::numeric, 3)
             as oldest_queued_seconds,
           case when only_source is distinct from 'upstash' then ourvidz.unoffered(counted.worker, now_at)
                else '[]' end as unoffered
      from (select jobs.*, clock.now_at, waits_for = 0 and available_at <= clock.now_at as is_due
              from ourvidz.jobs, clock
             where status in ('queued', 'running', 'failed')
               and (only_source is null or source = only_source)) as counted
     group by counted.queue, counted.worker, now_at) as each
$$;

revoke all on function public.queue_stats(text) from public, anon, authenticated;
grant execute on function public.queue_stats(text) to service_role;
