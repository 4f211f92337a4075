-- A log of an earlier run that arrives late does not take the place of a later run's.
create or replace function public.keep_attempt_log(log jsonb)
returns void language sql security definer set search_path = '' as $$
  insert into ourvidz.attempt_logs as kept (job_id, attempt, run, log)
  select jobs.id, (keep_attempt_log.log ->> 'attempt')::integer, (keep_attempt_log.log ->> 'run')::integer, keep_attempt_log.log
    from ourvidz.jobs where jobs.id = (keep_attempt_log.log ->> 'job_id')::uuid
  on conflict (job_id, attempt) do update set run = excluded.run, log = excluded.log where kept.run <= excluded.run
$$;
