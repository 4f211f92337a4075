-- Brings the job to the attempt that the callback tells of.
create or replace function ourvidz.start_attempt(job ourvidz.jobs, attempt integer, metadata jsonb)
returns ourvidz.jobs language plpgsql set search_path = '' as $$
declare
  started ourvidz.jobs;
begin
  if job.source = 'supabase' and job.status = 'queued' then
    perform ourvidz.revive_lease(job);
  end if;
  update ourvidz.jobs
     set status = 'running',
         progress = case when start_attempt.attempt > job.attempt then null else progress end,
         started_at = case when start_attempt.attempt > job.attempt or started_at is null
                           then ourvidz.clock() else started_at end,
         attempt = greatest(job.attempt, start_attempt.attempt),
         -- Who has claimed a job is known better here.
         worker_id = case when job.source = 'supabase' then worker_id
                          else coalesce(start_attempt.metadata ->> 'worker_id', worker_id) end,
         worker_version = coalesce(start_attempt.metadata ->> 'worker_version', worker_version),
         queue_seconds = coalesce(ourvidz.to_number(start_attempt.metadata -> 'queue_time'), queue_seconds)
   where id = job.id returning * into started;
  return started;
end $$;

-- What a job that makes text has made is part of its result, beside assets and metadata: result ->> 'text'.

create or replace function ourvidz.end_by_callback(job ourvidz.jobs, callback jsonb)
returns ourvidz.jobs language plpgsql set search_path = '' as $$
declare
  said constant jsonb := coalesce(callback -> 'metadata', '{}');
  assets constant jsonb := coalesce(callback -> 'assets', '[]');
  ending constant ourvidz.job_status := callback ->> 'status';
  made text;
begin
  if ending = 'completed' then
    select content_type into made from ourvidz.job_types where type = job.type;
    if made in ('image', 'video') and jsonb_array_length(assets) = 0 then
      perform ourvidz.refuse(422, 'NO_ASSETS',
        format('A completed job of the type %s made at least one %s: assets must not be empty.', job.type, made));
    end if;
    perform ourvidz.write_assets(job, assets, true);
  end if;
  job := ourvidz.end_job(job, ending,
    case ending when 'completed' then jsonb_strip_nulls(
      jsonb_build_object('text', callback ->> 'text')) || jsonb_build_object('assets', assets, 'metadata', said) end,
    case ending when 'failed' then jsonb_build_object(
      'code', coalesce(said ->> 'error_type', 'INTERNAL'),
      'message', coalesce(callback ->> 'error_message', 'The container did not say why.')) end);
  update ourvidz.jobs
     set metadata = said, generation_seconds = ourvidz.to_number(said -> 'generation_time'),
         enhanced_prompt = coalesce(callback ->> 'enhanced_prompt', said ->> 'enhanced_prompt', enhanced_prompt)
   where id = job.id;
  perform ourvidz.write_usage(job, coalesce(ourvidz.to_number(said -> 'generation_time'),
                                            extract(epoch from job.settled_at - job.started_at)));
  return job;
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
  job ourvidz.jobs;
  reason text;
begin
  if said_status is null or said_status not in ('processing', 'completed', 'failed', 'cancelled') then
    perform ourvidz.refuse(400, 'INVALID_REQUEST',
      'status must be "processing", "completed", "failed" or "cancelled".');
  end if;
  if attempt not between 0 and 2147483647 or run not between 1 and 2147483647 then
    perform ourvidz.refuse(400, 'INVALID_REQUEST', 'run and attempt must be counted from 1, and below 2147483648.');
  end if;
  if said_status <> 'processing' then
    perform ourvidz.lock_with_followers(array[ourvidz.to_uuid(callback ->> 'job_id')], false);
  end if;
  select * into job from ourvidz.jobs where id = ourvidz.to_uuid(callback ->> 'job_id') for update;
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
    delete from ourvidz.queue_outbox as outbox where outbox.job_id = job.id;
    if said_status <> 'cancelled' or job.status = 'running' or job.lease_token is not null then
      job := ourvidz.start_attempt(job, attempt::integer, callback -> 'metadata');
    end if;
    if said_status = 'processing' then
      update ourvidz.jobs
         set progress = greatest(jobs.progress, least(greatest(said_progress, 0), 1))
       where id = job.id and said_progress is not null;
    else
      job := ourvidz.end_by_callback(job, callback);
    end if;
  end if;
  return jsonb_build_object(
    'applied', reason is null, 'skipped', reason is not null, 'reason', reason, 'job_id', job.id,
    'job_status', job.status, 'job_type', job.type, 'run', job.run, 'attempt', job.attempt, 'user_id', job.user_id,
    'assets', (select count(*) from ourvidz.assets where assets.job_id = job.id));
end $$;

revoke all on function public.apply_job_callback(jsonb) from public, anon, authenticated;
grant execute on function public.apply_job_callback(jsonb) to service_role;

-- ---- callbacks

drop function if exists ourvidz.reason_to_skip(ourvidz.jobs, text, integer);

-- Why a callback changes nothing; null when it does.
create or replace function ourvidz.reason_to_skip(job ourvidz.jobs, status text, run integer, attempt integer)
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
create or replace function ourvidz.start_run(job ourvidz.jobs, run integer)
returns ourvidz.jobs language plpgsql set search_path = '' as $$
declare
  started ourvidz.jobs;
begin
  update ourvidz.jobs
     set status = 'queued', run = start_run.run, attempt = 0,
         earlier_attempts = earlier_attempts + greatest(attempt, 1), cancel_requested_at = null, progress = null,
         error = null, result = null, metadata = null, settled_at = null, started_at = null,
         available_at = ourvidz.clock()
   where id = job.id returning * into started;
  return started;
end $$;
