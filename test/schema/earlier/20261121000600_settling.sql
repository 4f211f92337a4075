-- How a lease ends.

-- Ends a job whose lease is held. Part of settle_job and apply_job_callback.
create or replace function ourvidz.end_job(job public.jobs, ending public.job_status, result jsonb, error jsonb)
returns public.jobs language plpgsql set search_path = '' as $$
declare
  now_at constant timestamptz := ourvidz.clock();
  ended public.jobs;
begin
  update public.jobs
     set status = ending, settled_at = now_at, lease_expires_at = null, result = end_job.result, error = end_job.error,
         progress = case when ending = 'completed' then 1 else progress end
   where id = job.id returning * into ended;
  update public.job_attempts as attempts
     set outcome = ending::text, ended_at = now_at, error = end_job.error
   where attempts.token = ended.lease_token;
  return ended;
end $$;

-- Back to the queue, or to the end if a cancel was asked.
create or replace function ourvidz.requeue_job(job public.jobs, call text, delay double precision, error jsonb)
returns void language plpgsql set search_path = '' as $$
declare
  now_at constant timestamptz := ourvidz.clock();
begin
  if job.cancel_requested_at is not null then
    job := ourvidz.end_job(job, 'cancelled', null, null);
    perform ourvidz.write_usage(job, extract(epoch from job.settled_at - job.started_at));
    update public.jobs
       set lease_token = null, attempt = attempt - case call when 'release' then 1 else 0 end
     where id = job.id;
    return;
  end if;
  update public.job_attempts as attempts
     set outcome = case call when 'retry' then 'retried' else 'released' end, ended_at = now_at,
         error = requeue_job.error
   where attempts.token = job.lease_token;
  update public.jobs
     set status = 'queued', available_at = now_at + ourvidz.seconds(delay), progress = null,
         attempt = attempt - case call when 'release' then 1 else 0 end,
         error = case call when 'release' then ourvidz.previous_error(job.id) else requeue_job.error end,
         lease_token = null, lease_expires_at = null
   where id = job.id;
end $$;

-- Whether this call has settled this lease before: the answer to it was lost, or its container repeats itself.
create or replace function ourvidz.was_settled(job_id uuid, token text, call text)
returns boolean language sql stable set search_path = '' as $$
  select exists (
    select from public.job_attempts as attempts
     where attempts.token = was_settled.token and attempts.job_id = was_settled.job_id
       and attempts.outcome = any (case call
             when 'complete' then array['completed']
             when 'fail' then array['failed']
             when 'cancelled' then array['cancelled']
             when 'retry' then array['retried', 'cancelled']
             when 'release' then array['released', 'cancelled'] end))
$$;

-- Settles a lease.
--
--   settlement  {"job_id", "token", "call": "complete" | "fail" | "cancelled" | "retry" | "release",
--                "result": {"assets", "metadata"} with complete, "error": {"code", "message"} with fail and retry,
--                "delay_seconds" with retry}
--
-- Returns {"outcome": "settled" | "lost"}. Said twice, it is settled twice and changes nothing. A job whose cancel was
-- asked never goes back to the queue: retry and release end it.
create or replace function public.settle_job(settlement jsonb)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  job_id constant uuid := ourvidz.to_uuid(settlement ->> 'job_id');
  token constant text := settlement ->> 'token';
  call constant text := settlement ->> 'call';
  error constant jsonb := nullif(settlement -> 'error', 'null');
  job public.jobs;
begin
  if call is null or call not in ('complete', 'fail', 'cancelled', 'retry', 'release') then
    perform ourvidz.refuse(400, 'INVALID_REQUEST', format('A lease cannot be settled by "%s".', call));
  end if;
  select * into job from public.jobs where id = job_id and lease_token = token for update;
  if not found or ourvidz.is_settled(job.status) then
    if not ourvidz.was_settled(job_id, token, call) then
      return '{"outcome": "lost"}';
    end if;
    -- A callback brought the job to this end; now its container has settled it too.
    update public.jobs set lease_token = null where id = job.id;
    return '{"outcome": "settled"}';
  end if;
  if job.status = 'queued' then
    perform ourvidz.revive_lease(job);
  end if;
  case call
    when 'retry' then
      perform ourvidz.requeue_job(job, call, ourvidz.to_number(settlement -> 'delay_seconds'), error);
      return '{"outcome": "settled"}';
    when 'release' then
      perform ourvidz.requeue_job(job, call, 0, null);
      return '{"outcome": "settled"}';
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
  return '{"outcome": "settled"}';
end $$;

revoke all on function public.settle_job(jsonb) from public, anon, authenticated;
grant execute on function public.settle_job(jsonb) to service_role;

-- What an app may call from time to time (pg_cron): brings jobs of dead containers back, forgets old ones. `keep_days`
-- null keeps everything. Claims notice leases that ran out by themselves.
create or replace function public.sweep_expired(keep_days double precision default null, most integer default 500)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  expired integer := ourvidz.expire_leases(greatest(most, 0));
  deleted bigint := 0;
begin
  if keep_days is not null then
    with old as (
      select id from public.jobs
       where settled_at < (select ourvidz.clock()) - make_interval(secs => keep_days * 86400)
       order by settled_at limit greatest(most, 0) for update skip locked)
    delete from public.jobs using old where jobs.id = old.id;
    get diagnostics deleted = row_count;
  end if;
  return jsonb_build_object('expired', expired, 'deleted', deleted);
end $$;

revoke all on function public.sweep_expired(double precision, integer) from public, anon, authenticated;
grant execute on function public.sweep_expired(double precision, integer) to service_role;
