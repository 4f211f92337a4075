-- What containers say of their jobs. Idempotent by (job, attempt, status): what is known already, or comes too late, is
-- skipped and answered as a success.
--
-- A job of the source "upstash" moves by callbacks alone. One of the source "supabase" is also settled by its container,
-- before or after; whichever comes first ends it, and the other finds it as it says.

-- Why a callback changes nothing; null when it does.
create or replace function ourvidz.reason_to_skip(job public.jobs, status text, attempt integer)
returns text language sql immutable set search_path = '' as $$
  select case
    when ourvidz.is_settled(job.status) then format('the job is %s already', job.status)
    when attempt < job.attempt then format('attempt %s is over: the job is at attempt %s', attempt, job.attempt)
    when job.source = 'supabase' and (attempt > job.attempt or job.lease_token is null)
      then format('no container holds attempt %s of this job', attempt)
    when job.source = 'supabase' and job.status = 'queued' and status = 'processing'
      then format('the lease of attempt %s ran out', attempt)
  end
$$;

-- Brings the job to the attempt that the callback tells of.
create or replace function ourvidz.start_attempt(job public.jobs, attempt integer, metadata jsonb)
returns public.jobs language plpgsql set search_path = '' as $$
declare
  started public.jobs;
begin
  if job.source = 'supabase' and job.status = 'queued' then
    perform ourvidz.revive_lease(job);
  end if;
  update public.jobs
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

create or replace function ourvidz.end_by_callback(job public.jobs, callback jsonb)
returns public.jobs language plpgsql set search_path = '' as $$
declare
  said constant jsonb := coalesce(callback -> 'metadata', '{}');
  assets constant jsonb := coalesce(callback -> 'assets', '[]');
  ending constant public.job_status := callback ->> 'status';
  made text;
begin
  if ending = 'completed' then
    select content_type into made from public.job_types where type = job.type;
    if made in ('image', 'video') and jsonb_array_length(assets) = 0 then
      perform ourvidz.refuse(422, 'NO_ASSETS',
        format('A completed job of the type %s made at least one %s: assets must not be empty.', job.type, made));
    end if;
    perform ourvidz.write_assets(job, assets, true);
  end if;
  job := ourvidz.end_job(job, ending,
    case ending when 'completed' then jsonb_build_object('assets', assets, 'metadata', said) end,
    case ending when 'failed' then jsonb_build_object(
      'code', coalesce(said ->> 'error_type', 'INTERNAL'),
      'message', coalesce(callback ->> 'error_message', 'The container did not say why.')) end);
  update public.jobs
     set metadata = said, generation_seconds = ourvidz.to_number(said -> 'generation_time'),
         enhanced_prompt = coalesce(callback ->> 'enhanced_prompt', said ->> 'enhanced_prompt', enhanced_prompt)
   where id = job.id;
  perform ourvidz.write_usage(job, coalesce(ourvidz.to_number(said -> 'generation_time'),
                                            extract(epoch from job.settled_at - job.started_at)));
  return job;
end $$;

-- Takes a callback in its canonical form (jobCallback in functions/_shared/callback.ts).
--
-- Returns {"applied", "skipped", "reason", "job_id", "job_status", "job_type", "attempt", "user_id", "assets"}, where
-- `assets` is how many files the job has.
create or replace function public.apply_job_callback(callback jsonb)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  said_status constant text := callback ->> 'status';
  attempt constant integer := coalesce(ourvidz.to_number(callback -> 'attempt'), 1);
  said_progress constant double precision := ourvidz.to_number(callback #> '{metadata,progress}');
  job public.jobs;
  reason text;
begin
  if said_status is null or said_status not in ('processing', 'completed', 'failed', 'cancelled') then
    perform ourvidz.refuse(400, 'INVALID_REQUEST',
      'status must be "processing", "completed", "failed" or "cancelled".');
  end if;
  select * into job from public.jobs where id = ourvidz.to_uuid(callback ->> 'job_id') for update;
  if not found then
    perform ourvidz.no_such_job(left(callback ->> 'job_id', 128));
  end if;
  reason := ourvidz.reason_to_skip(job, said_status, attempt);
  if reason is null then
    -- A container has it: what still waits to be pushed would be a second one.
    delete from public.queue_outbox as outbox where outbox.job_id = job.id;
    if said_status <> 'cancelled' or job.status = 'running' or job.lease_token is not null then
      job := ourvidz.start_attempt(job, attempt, callback -> 'metadata');
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
    'job_status', job.status, 'job_type', job.type, 'attempt', job.attempt, 'user_id', job.user_id,
    'assets', (select count(*) from public.assets where assets.job_id = job.id));
end $$;

revoke all on function public.apply_job_callback(jsonb) from public, anon, authenticated;
grant execute on function public.apply_job_callback(jsonb) to service_role;
