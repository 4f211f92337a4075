-- How a lease ends.

-- Ends a job whose lease is held. Part of settle_job and apply_job_callback.
create or replace function ourvidz.end_job(job ourvidz.jobs, ending ourvidz.job_status, result jsonb, error jsonb)
returns ourvidz.jobs language plpgsql set search_path = '' as $$
declare
  now_at constant timestamptz := ourvidz.clock();
  ended ourvidz.jobs;
begin
  update ourvidz.jobs
     set status = ending, settled_at = now_at, lease_expires_at = null, result = end_job.result, error = end_job.error,
         progress = case when ending = 'completed' then 1 else progress end
   where id = job.id returning * into ended;
  update ourvidz.job_attempts as attempts
     set outcome = ending::text, ended_at = now_at, error = end_job.error
   where attempts.token = ended.lease_token;
  return ended;
end $$;

-- Back to the queue, or to the end if a cancel was asked.
create or replace function ourvidz.requeue_job(job ourvidz.jobs, call text, delay double precision, error jsonb)
returns void language plpgsql set search_path = '' as $$
declare
  now_at constant timestamptz := ourvidz.clock();
begin
  if job.cancel_requested_at is not null then
    job := ourvidz.end_job(job, 'cancelled', null, null);
    perform ourvidz.write_usage(job, extract(epoch from job.settled_at - job.started_at));
    update ourvidz.jobs
       set lease_token = null, attempt = attempt - case call when 'release' then 1 else 0 end
     where id = job.id;
    return;
  end if;
  update ourvidz.job_attempts as attempts
     set outcome = case call when 'retry' then 'retried' else 'released' end, ended_at = now_at,
         error = requeue_job.error
   where attempts.token = job.lease_token;
  update ourvidz.jobs
     set status = 'queued', available_at = now_at + ourvidz.seconds(delay), progress = null,
         attempt = attempt - case call when 'release' then 1 else 0 end,
         error = case call when 'release' then ourvidz.previous_error(job.id) else requeue_job.error end,
         lease_token = null, lease_expires_at = null
   where id = job.id;
end $$;

-- Settles a lease.
--
--   settlement  {"job_id", "token", "call": "complete" | "fail" | "cancelled" | "retry" | "release",
--                "result": {"assets", "metadata"} with complete, "error": {"code", "message"} with fail and retry,
--                "delay_seconds" and "lease_seconds" with retry and release, "reason": {"code", "message"} with release}
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
  job ourvidz.jobs;
  became text;
begin
  if call is null or call not in ('complete', 'fail', 'cancelled', 'retry', 'release') then
    perform ourvidz.refuse(400, 'INVALID_REQUEST', format('A lease cannot be settled by "%s".', call));
  end if;
  perform ourvidz.lock_to_settle(job_id, call);
  select * into job from ourvidz.jobs where id = job_id and lease_token = token for update;
  if not found or ourvidz.is_settled(job.status) then
    became := ourvidz.settled_before(job_id, token, call);
    if became is null then
      return '{"outcome": "lost"}';
    end if;
    -- A callback brought the job to this end; now its container has settled it too.
    update ourvidz.jobs set lease_token = null where id = job.id;
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
      update ourvidz.job_attempts as attempts
         set release_reason = jsonb_build_object('code', left(settlement #>> '{reason,code}', 64),
                                         'message', left(settlement #>> '{reason,message}', 300))
       where attempts.token = job.lease_token and call = 'release'
         and settlement #>> '{reason,code}' is not null and settlement #>> '{reason,message}' is not null;
      return '{"outcome": "settled", "became": "requeued"}';
    end if;
    insert into ourvidz.job_ends (job_id, free_at)
    values (job.id, ourvidz.clock() + ourvidz.seconds(coalesce(ourvidz.to_number(settlement -> 'lease_seconds'), 90)));
    return '{"outcome": "settled", "became": "cancelled"}';
  end if;
  case call
    when 'complete' then
      job := ourvidz.end_job(job, 'completed', settlement -> 'result', null);
      perform ourvidz.write_assets(job, settlement #> '{result,assets}', false);
      update ourvidz.jobs set metadata = coalesce(settlement #> '{result,metadata}', metadata) where id = job.id;
    when 'fail' then
      job := ourvidz.end_job(job, 'failed', null, error);
    else
      job := ourvidz.end_job(job, 'cancelled', null, null);
  end case;
  perform ourvidz.write_usage(job, coalesce(ourvidz.to_number(settlement #> '{result,metadata,generation_time}'),
                                            extract(epoch from job.settled_at - job.started_at)));
  update ourvidz.jobs set lease_token = null where id = job.id;
  return jsonb_build_object('outcome', 'settled', 'became', job.status);
end $$;

revoke all on function public.settle_job(jsonb) from public, anon, authenticated;
grant execute on function public.settle_job(jsonb) to service_role;

-- Settling says what the job became.

drop function if exists ourvidz.was_settled(uuid, text, text);

-- What this call has made of this lease's job before, when the answer to it was lost or its container repeats itself;
-- null when it was not settled so.
create or replace function ourvidz.settled_before(job_id uuid, token text, call text)
returns text language sql stable set search_path = '' as $$
  select case when attempts.outcome in ('retried', 'released') then 'requeued' else attempts.outcome end
    from ourvidz.job_attempts as attempts
   where attempts.token = settled_before.token and attempts.job_id = settled_before.job_id
     and attempts.outcome = any (case call
           when 'complete' then array['completed']
           when 'fail' then array['failed']
           when 'cancelled' then array['cancelled']
           when 'retry' then array['retried', 'cancelled']
           when 'release' then array['released', 'cancelled'] end)
$$;

-- Keeps how far the delivery of finished jobs has come.
--
--   notes  [{"job_id", "token", "note"}]
--
-- Returns how many were kept: the job of a lease that is not held any more is left as it is.
create or replace function public.note_deliveries(notes jsonb)
returns integer language plpgsql security definer set search_path = '' as $$
declare
  kept integer;
begin
  update ourvidz.jobs set delivery = each.value -> 'note'
    from jsonb_array_elements(notes) as each
   where jobs.id = ourvidz.to_uuid(each.value ->> 'job_id') and jobs.lease_token = each.value ->> 'token'
     and jobs.status = 'running';
  get diagnostics kept = row_count;
  return kept;
end $$;

revoke all on function public.note_deliveries(jsonb) from public, anon, authenticated;
grant execute on function public.note_deliveries(jsonb) to service_role;
