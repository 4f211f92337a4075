-- A job that has been worked off and whose result has not reached the app yet: it stays running, and says why.

-- {"becomes", "step", "since", "tries", "error": {"code", "message"}, "next_try_at"}; null for every other job.
alter table public.jobs add column if not exists delivery jsonb;

-- The note belongs to the lease of who delivers, and goes with it.
create or replace function ourvidz.drop_delivery()
returns trigger language plpgsql set search_path = '' as $$
begin
  new.delivery := null;
  return new;
end $$;

drop trigger if exists drop_delivery on public.jobs;
create trigger drop_delivery before update of status, lease_token on public.jobs
  for each row when (new.delivery is not null and (new.status <> 'running' or new.lease_token is distinct from old.lease_token))
  execute function ourvidz.drop_delivery();

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
  update public.jobs set delivery = each.value -> 'note'
    from jsonb_array_elements(notes) as each
   where jobs.id = ourvidz.to_uuid(each.value ->> 'job_id') and jobs.lease_token = each.value ->> 'token'
     and jobs.status = 'running';
  get diagnostics kept = row_count;
  return kept;
end $$;

revoke all on function public.note_deliveries(jsonb) from public, anon, authenticated;
grant execute on function public.note_deliveries(jsonb) to service_role;

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
               'outcome', attempts.outcome, 'error', attempts.error) order by attempts.sequence)
        from public.job_attempts as attempts where attempts.job_id = job.id), '[]'))
$$;

-- Ends a queued job at once, and requests the end of a running one: its container hears of it. The children of a job are
-- cancelled with it. `request` names this call, so that it may be repeated after its answer was lost. A job that has been
-- worked off, whose result is on its way to the app, is refused as one that is settled: nothing is left to be stopped.
--
-- Returns what ourvidz.cancel_answer makes. A job of the source "upstash" must also be cancelled on Redis.
create or replace function public.request_cancel(job_id uuid, only_source text default null, request text default null)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  job public.jobs := ourvidz.lock_job(job_id, only_source);
begin
  -- A job whose container is gone need not wait for its next one to be cancelled.
  if ourvidz.expire_leases(1, job.id) > 0 then
    select * into job from public.jobs where id = job.id;
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
