-- Runs: a redrive begins the next one, and callbacks name theirs.

-- ---- redriving

create or replace function ourvidz.redrive_one(job public.jobs, request text)
returns public.jobs language plpgsql set search_path = '' as $$
declare
  redriven public.jobs;
begin
  update public.jobs
     set status = 'queued', waits_for = ourvidz.check_redrive(job), attempt = 0,
         -- The runs of a job on Redis are counted there: its next callback names the new one.
         run = case job.source when 'supabase' then run + 1 else run end,
         earlier_attempts = earlier_attempts + greatest(attempt, 1), cancel_requested_at = null, progress = null,
         error = null, settled_at = null, started_at = null, lease_token = null, metadata = null,
         available_at = ourvidz.clock(), operator_request = redrive_one.request
   where id = job.id returning * into redriven;
  delete from public.job_attempts as attempts where attempts.job_id = job.id;
  if redriven.source = 'upstash' then
    -- Where Redis still knows it, this is dropped there; where it has forgotten it, the job would wait for ever.
    insert into public.queue_outbox (job_id, queue, element, created_at, next_try_at)
    values (redriven.id, redriven.queue, redriven.element, ourvidz.clock(), ourvidz.clock())
    on conflict (job_id) do nothing;
  end if;
  return redriven;
end $$;

-- ---- callbacks

drop function if exists ourvidz.reason_to_skip(public.jobs, text, integer);

-- Why a callback changes nothing; null when it does.
create or replace function ourvidz.reason_to_skip(job public.jobs, status text, run integer, attempt integer)
returns text language sql immutable set search_path = '' as $$
  select case
    when run < job.run then format('run %s is over: the job is at run %s', run, job.run)
    when run > job.run and job.source = 'supabase' then format('no container holds run %s of this job', run)
    when run > job.run then null
    when ourvidz.is_settled(job.status) then format('the job is %s already', job.status)
    when attempt < job.attempt then format('attempt %s is over: the job is at attempt %s', attempt, job.attempt)
    when job.source = 'supabase' and (attempt > job.attempt or job.lease_token is null)
      then format('no container holds attempt %s of this job', attempt)
    when job.source = 'supabase' and job.status = 'queued' and status = 'processing'
      then format('the lease of attempt %s ran out', attempt)
  end
$$;

-- A job on Redis was redriven there: its row begins anew, whatever it was.
create or replace function ourvidz.start_run(job public.jobs, run integer)
returns public.jobs language plpgsql set search_path = '' as $$
declare
  started public.jobs;
begin
  update public.jobs
     set status = 'queued', run = start_run.run, attempt = 0,
         earlier_attempts = earlier_attempts + greatest(attempt, 1), cancel_requested_at = null, progress = null,
         error = null, result = null, metadata = null, settled_at = null, started_at = null,
         available_at = ourvidz.clock()
   where id = job.id returning * into started;
  return started;
end $$;

-- Takes a callback in its canonical form (jobCallback in functions/_shared/callback.ts). Of a job's runs the newest
-- counts: a callback of a higher run begins it, also after an end, one of a lower run is skipped, and one that names
-- none, as older containers send it, is of the job's.
--
-- Returns {"applied", "skipped", "reason", "job_id", "job_status", "job_type", "run", "attempt", "user_id", "assets"},
-- where `assets` is how many files the job has.
create or replace function public.apply_job_callback(callback jsonb)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  said_status constant text := callback ->> 'status';
  said_progress constant double precision := ourvidz.to_number(callback #> '{metadata,progress}');
  attempt constant double precision := coalesce(ourvidz.to_number(callback -> 'attempt'), 1);
  run double precision := ourvidz.to_number(callback -> 'run');
  job public.jobs;
  reason text;
begin
  if said_status is null or said_status not in ('processing', 'completed', 'failed', 'cancelled') then
    perform ourvidz.refuse(400, 'INVALID_REQUEST',
      'status must be "processing", "completed", "failed" or "cancelled".');
  end if;
  if attempt not between 0 and 2147483647 or run not between 1 and 2147483647 then
    perform ourvidz.refuse(400, 'INVALID_REQUEST', 'run and attempt must be counted from 1, and below 2147483648.');
  end if;
  select * into job from public.jobs where id = ourvidz.to_uuid(callback ->> 'job_id') for update;
  if not found then
    perform ourvidz.no_such_job(left(callback ->> 'job_id', 128));
  end if;
  run := coalesce(run, job.run);
  reason := ourvidz.reason_to_skip(job, said_status, run::integer, attempt::integer);
  if reason is null then
    if run > job.run then
      job := ourvidz.start_run(job, run::integer);
    end if;
    -- A container has it: what still waits to be pushed would be a second one.
    delete from public.queue_outbox as outbox where outbox.job_id = job.id;
    if said_status <> 'cancelled' or job.status = 'running' or job.lease_token is not null then
      job := ourvidz.start_attempt(job, attempt::integer, callback -> 'metadata');
    end if;
    if said_status = 'processing' then
      update public.jobs
         set progress = greatest(jobs.progress, least(greatest(said_progress, 0), 1))
       where id = job.id and said_progress is not null;
    else
      job := ourvidz.end_by_callback(job, callback);
    end if;
  end if;
  return jsonb_build_object(
    'applied', reason is null, 'skipped', reason is not null, 'reason', reason, 'job_id', job.id,
    'job_status', job.status, 'job_type', job.type, 'run', job.run, 'attempt', job.attempt, 'user_id', job.user_id,
    'assets', (select count(*) from public.assets where assets.job_id = job.id));
end $$;

revoke all on function public.apply_job_callback(jsonb) from public, anon, authenticated;
grant execute on function public.apply_job_callback(jsonb) to service_role;

-- ---- looking

create or replace function ourvidz.cancel_answer(job public.jobs, children jsonb)
returns jsonb language sql immutable set search_path = '' as $$
  select jsonb_build_object(
    'job_id', job.id, 'outcome', case job.status when 'cancelled' then 'cancelled' else 'requested' end,
    'job_status', job.status, 'source', job.source, 'queue', job.queue, 'run', job.run,
    'attempt', greatest(job.attempt, 1), 'children', children)
$$;

create or replace function ourvidz.record_of(job public.jobs)
returns jsonb language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'sequence', job.sequence, 'job', job.element, 'worker', job.worker, 'queue', job.queue, 'source', job.source,
    'status', job.status, 'run', job.run, 'attempt', job.attempt,
    'cancel_requested', job.cancel_requested_at is not null,
    'progress', job.progress, 'waits_for', job.waits_for, 'depends_on', to_jsonb(job.depends_on),
    'waiting_for', case when job.status = 'queued' and job.source = 'supabase'
                         and not ourvidz.is_offered(job.worker, job.type, job.model_variant)
                        then jsonb_build_object('type', job.type, 'model', job.model_variant) end,
    'parent_job_id', job.parent_job_id, 'created_at_ms', ourvidz.ms(job.created_at),
    'available_at_ms', ourvidz.ms(job.available_at), 'expires_at_ms', ourvidz.ms(job.expires_at),
    'started_at_ms', ourvidz.ms(job.started_at),
    'settled_at_ms', ourvidz.ms(job.settled_at), 'result', job.result, 'error', job.error,
    'attempts', coalesce((
      select jsonb_agg(jsonb_build_object(
               'attempt', attempts.attempt, 'worker_id', attempts.worker_id,
               'started_at_ms', ourvidz.ms(attempts.started_at), 'ended_at_ms', ourvidz.ms(attempts.ended_at),
               'outcome', attempts.outcome, 'error', attempts.error) order by attempts.sequence)
        from public.job_attempts as attempts where attempts.job_id = job.id), '[]'))
$$;

-- Due jobs of a worker whose need no container offers: [{"type", "model", "jobs", "oldest_seconds"}, …], of the 1,000 that
-- would go first.
create or replace function ourvidz.unoffered(worker_name text, now_at timestamptz)
returns jsonb language sql stable set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object(
           'type', need.type, 'model', need.model, 'jobs', need.jobs,
           'oldest_seconds', round(extract(epoch from now_at - need.since)::numeric, 3)) order by need.since), '[]')
    from (
      select type, model_variant as model, count(*) as jobs, min(available_at) as since
        from (select jobs.type, jobs.model_variant, jobs.available_at from public.jobs
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
              from public.jobs, clock
             where status in ('queued', 'running', 'failed')
               and (only_source is null or source = only_source)) as counted
     group by counted.queue, counted.worker, now_at) as each
$$;

revoke all on function public.queue_stats(text) from public, anon, authenticated;
grant execute on function public.queue_stats(text) to service_role;
