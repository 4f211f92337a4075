-- The run of a job on Redis goes on when it is redriven here, whatever Redis still knows of it.

-- The element says which run it begins: where Redis knows the job as failed in an earlier one it is redriven there, and where
-- Redis has forgotten it, it is filed with this number. Counted from 1 again, late callbacks of its first run would be taken
-- for the new one's, and those of the new one for late after its second.
create or replace function ourvidz.redrive_one(job public.jobs, request text)
returns public.jobs language plpgsql set search_path = '' as $$
declare
  redriven public.jobs;
begin
  update public.jobs
     set status = 'queued', waits_for = ourvidz.check_redrive(job), attempt = 0, run = run + 1,
         earlier_attempts = earlier_attempts + greatest(attempt, 1), cancel_requested_at = null, progress = null,
         error = null, settled_at = null, started_at = null, lease_token = null, metadata = null,
         available_at = ourvidz.clock(), operator_request = redrive_one.request
   where id = job.id returning * into redriven;
  delete from public.job_attempts as attempts where attempts.job_id = job.id;
  if redriven.source = 'upstash' then
    insert into public.queue_outbox as outbox (job_id, queue, element, created_at, next_try_at)
    values (redriven.id, redriven.queue, redriven.element || jsonb_build_object('run', redriven.run),
            ourvidz.clock(), ourvidz.clock())
    on conflict (job_id) do update set element = excluded.element, next_try_at = excluded.next_try_at;
  end if;
  return redriven;
end $$;
