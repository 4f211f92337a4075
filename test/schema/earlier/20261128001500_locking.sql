-- Calls that change several jobs lock all of them first, in the order of their ids, so that no two wait for each other
-- (40P01): children are cancelled with their job, dependents fail with theirs, and either may have the smaller id.

-- Locks the jobs, and those that change with them: jobs that wait for them and, `with_children`, children; and so on.
create or replace function ourvidz.lock_with_followers(job_ids uuid[], with_children boolean)
returns void language plpgsql set search_path = '' as $$
declare
  followed uuid[];
begin
  with recursive family (id) as (
    select given.id from unnest(job_ids) as given (id)
    union
    select follower.id
      from family cross join lateral (
        select jobs.id from public.jobs where with_children and jobs.parent_job_id = family.id
        union all
        select jobs.id from public.jobs where jobs.waits_for > 0 and jobs.depends_on @> array[family.id]) as follower)
  select array_agg(family.id) into followed from family;
  perform from public.jobs where jobs.id = any (followed) order by jobs.id for update;
end $$;

-- The job, locked, as the caller may see it: users know of their own jobs only.
create or replace function ourvidz.lock_job(job_id uuid, only_source text)
returns public.jobs language plpgsql set search_path = '' as $$
declare
  job public.jobs;
  visible boolean;
begin
  select ourvidz.caller_is_service() or user_id = (select auth.uid()) into visible from public.jobs where id = job_id;
  if visible then
    perform ourvidz.lock_with_followers(array[job_id], true);
    select * into job from public.jobs where id = job_id for update;
  end if;
  if job.id is null then
    perform ourvidz.no_such_job(job_id::text);
  elsif job.source <> only_source then
    perform ourvidz.refuse(404, 'JOB_NOT_FOUND',
      format('Job %s has the source "%s": ask there.', job_id, job.source));
  end if;
  return job;
end $$;

-- Cancels jobs as request_cancel does. Returns what each became, in order: "cancelled", "requested", "settled" (there was
-- nothing to cancel) or "missing".
create or replace function public.cancel_jobs(job_ids uuid[], only_source text default null, request text default null)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  outcomes jsonb := '{}';
  each uuid;
begin
  perform ourvidz.lock_with_followers(job_ids, true);
  for each in select distinct id from unnest(job_ids) as id order by id loop
    begin
      outcomes := outcomes || jsonb_build_object(
        each, public.request_cancel(each, only_source, request) ->> 'outcome');
    exception
      when sqlstate 'PT404' then outcomes := outcomes || jsonb_build_object(each, 'missing');
      when sqlstate 'PT409' then outcomes := outcomes || jsonb_build_object(each, 'settled');
    end;
  end loop;
  return coalesce((select jsonb_agg(outcomes ->> id::text order by place)
                     from unnest(job_ids) with ordinality as given (id, place)), '[]');
end $$;

revoke all on function public.cancel_jobs(uuid[], text, text) from public, anon, authenticated;
grant execute on function public.cancel_jobs(uuid[], text, text) to service_role;

-- Deletes jobs that have ended, with their attempts, keys and rows of assets; what they cost stays in `usage`, and their
-- files are the caller's matter. Returns what became of each, in order: "discarded", "missing", "unreported" (its final
-- callback is not with any container yet), or the state of one that has not ended.
create or replace function public.discard_jobs(job_ids uuid[], only_source text default null)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  outcomes jsonb := '{}';
  job record;
begin
  perform ourvidz.lock_with_followers(job_ids, true);
  for job in
    select jobs.id, jobs.status, exists (select from public.job_ends as ends where ends.job_id = jobs.id) as is_open
      from public.jobs
     where jobs.id = any (job_ids) and (only_source is null or jobs.source = only_source)
     order by jobs.id for update
  loop
    if not ourvidz.is_settled(job.status) then
      outcomes := outcomes || jsonb_build_object(job.id, job.status);
    elsif job.is_open then
      outcomes := outcomes || jsonb_build_object(job.id, 'unreported');
    else
      delete from public.jobs where jobs.id = job.id;
      outcomes := outcomes || jsonb_build_object(job.id, 'discarded');
    end if;
  end loop;
  return coalesce((select jsonb_agg(coalesce(outcomes ->> id::text, 'missing') order by place)
                     from unnest(job_ids) with ordinality as given (id, place)), '[]');
end $$;

revoke all on function public.discard_jobs(uuid[], text) from public, anon, authenticated;
grant execute on function public.discard_jobs(uuid[], text) to service_role;

-- Settles a lease.
--
--   settlement  {"job_id", "token", "call": "complete" | "fail" | "cancelled" | "retry" | "release",
--                "result": {"assets", "metadata"} with complete, "error": {"code", "message"} with fail and retry,
--                "delay_seconds" and "lease_seconds" with retry and release}
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
  if said_status <> 'processing' then
    perform ourvidz.lock_with_followers(array[ourvidz.to_uuid(callback ->> 'job_id')], false);
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
