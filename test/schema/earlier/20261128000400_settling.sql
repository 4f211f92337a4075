-- Settling says what the job became.

drop function if exists ourvidz.was_settled(uuid, text, text);

-- What this call has made of this lease's job before, when the answer to it was lost or its container repeats itself;
-- null when it was not settled so.
create or replace function ourvidz.settled_before(job_id uuid, token text, call text)
returns text language sql stable set search_path = '' as $$
  select case when attempts.outcome in ('retried', 'released') then 'requeued' else attempts.outcome end
    from public.job_attempts as attempts
   where attempts.token = settled_before.token and attempts.job_id = settled_before.job_id
     and attempts.outcome = any (case call
           when 'complete' then array['completed']
           when 'fail' then array['failed']
           when 'cancelled' then array['cancelled']
           when 'retry' then array['retried', 'cancelled']
           when 'release' then array['released', 'cancelled'] end)
$$;

-- Settles a lease.
--
--   settlement  {"job_id", "token", "call": "complete" | "fail" | "cancelled" | "retry" | "release",
--                "result": {"assets", "metadata"} with complete, "error": {"code", "message"} with fail and retry,
--                "delay_seconds" with retry, "lease_seconds" with retry and release}
--
-- Returns {"outcome": "settled", "became": "completed" | "failed" | "cancelled" | "requeued"} or {"outcome": "lost"}. Said
-- twice, the answer is the same and nothing changes. A job whose cancel was asked never goes back to the queue: retry and
-- release end it, and the end is the caller's to report, for `lease_seconds`; then it is given to another container.
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
      case call when 'retry' then ourvidz.to_number(settlement -> 'delay_seconds') else 0 end,
      case call when 'retry' then error end);
    if job.cancel_requested_at is null then
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
