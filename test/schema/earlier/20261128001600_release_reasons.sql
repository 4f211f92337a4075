-- A container that gives a job back says why: what the job waits for is shown with it.

-- {"code", "message"} of a released attempt; null when its container said nothing, as older ones do.
alter table public.job_attempts add column if not exists release_reason jsonb;

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
  job public.jobs;
  became text;
begin
  if call is null or call not in ('complete', 'fail', 'cancelled', 'retry', 'release') then
    perform ourvidz.refuse(400, 'INVALID_REQUEST', format('A lease cannot be settled by "%s".', call));
  end if;
  perform ourvidz.lock_with_followers(array[job_id], false);
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
    'settled_at_ms', ourvidz.ms(job.settled_at), 'delivery', job.delivery, 'result', job.result, 'error', job.error,
    'attempts', coalesce((
      select jsonb_agg(jsonb_build_object(
               'attempt', attempts.attempt, 'worker_id', attempts.worker_id,
               'started_at_ms', ourvidz.ms(attempts.started_at), 'ended_at_ms', ourvidz.ms(attempts.ended_at),
               'outcome', attempts.outcome, 'error', attempts.error,
               'reason', attempts.release_reason) order by attempts.sequence)
        from public.job_attempts as attempts where attempts.job_id = job.id), '[]'))
$$;
