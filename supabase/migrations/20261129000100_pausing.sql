-- What an operator does with jobs that wait: another priority, a queue that stands still.

-- The names in `public` are this migration's own as soon as its table is there.
do $$
declare
  functions constant text[] := array['pause_queue', 'set_job_priority', 'waiting_jobs'];
  taken text;
begin
  if to_regclass('ourvidz.paused_queues') is null then
    select string_agg('the function ' || oid::regprocedure::text, ', ' order by proname) into taken from pg_catalog.pg_proc
     where pronamespace = 'public'::regnamespace and proname = any (functions);
  end if;
  if taken is not null then
    raise exception using errcode = 'PT409', hint = 'NAME_TAKEN', message = format(
      'This project has %s in the schema public already, which OurVidz needs: rename it and push again. Nothing of this file was changed.',
      taken);
  end if;
end $$;

-- ---- a queue that is paused: no container takes its jobs until it is resumed, whatever restarts meanwhile. Those of versions
-- before this, which call claim_jobs, do not know of it.

create table if not exists ourvidz.paused_queues (
  worker text primary key check (length(worker) between 1 and 200),
  since  timestamptz not null
);

alter table ourvidz.paused_queues enable row level security;
revoke all on ourvidz.paused_queues from public, anon, authenticated, service_role;
grant select, insert, update, delete on ourvidz.paused_queues to service_role;

-- Pauses a worker's queue, or lets it go on. One that is paused already stays so since then. Returns since when, or null.
create or replace function public.pause_queue(worker text, paused boolean)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  since_when timestamptz;
begin
  if coalesce(length(pause_queue.worker), 0) not between 1 and 200 or paused is null then
    perform ourvidz.refuse(400, 'INVALID_REQUEST', 'worker must be a text of 1 to 200 characters, and paused true or false.');
  end if;
  if paused then
    insert into ourvidz.paused_queues (worker, since) values (pause_queue.worker, ourvidz.clock()) on conflict do nothing;
  else
    delete from ourvidz.paused_queues as each where each.worker = pause_queue.worker;
  end if;
  select each.since into since_when from ourvidz.paused_queues as each where each.worker = pause_queue.worker;
  return jsonb_build_object('paused_since_ms', ourvidz.ms(since_when));
end $$;

revoke all on function public.pause_queue(text, boolean) from public, anon, authenticated;
grant execute on function public.pause_queue(text, boolean) to service_role;

-- Those of these workers whose queues are not paused.
create or replace function ourvidz.open_workers(workers text[])
returns setof text language sql stable set search_path = '' as $$
  select named.worker from unnest(workers) as named (worker)
   where not exists (select from ourvidz.paused_queues as paused where paused.worker = named.worker)
$$;

create or replace function public.take_jobs(
  worker_id text, requests jsonb, lease_seconds double precision default 90,
  ticket text default null, unanswered text[] default '{}')
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  wanted constant jsonb := (
    select coalesce(jsonb_agg(request.value order by request.place), '[]')
      from jsonb_array_elements(requests) with ordinality as request (value, place)
     where not exists (select from ourvidz.paused_queues as paused where paused.worker = request.value ->> 'worker'));
  leases jsonb := public.claim_jobs(worker_id, wanted, lease_seconds, ticket, unanswered);
begin
  return jsonb_build_object(
    'leases', leases, 'ends', ourvidz.claim_ends(lease_seconds, ticket, unanswered));
end $$;

revoke all on function public.take_jobs(text, jsonb, double precision, text, text[]) from public, anon, authenticated;
grant execute on function public.take_jobs(text, jsonb, double precision, text, text[]) to service_role;

-- What there could be to take for these workers now, as before; of a queue that is paused, no job.
create or replace function public.due_jobs(workers text[], held_tokens text[] default '{}')
returns jsonb language sql stable security definer set search_path = '' as $$
  with clock as materialized (select ourvidz.clock() as now_at),
  due as (
    select 'job:' || waiting.sequence as name, waiting.available_at as at from ourvidz.open_workers(workers) as named (worker)
     cross join lateral (
       select jobs.sequence, jobs.available_at from ourvidz.jobs
        where jobs.worker = named.worker and status = 'queued' and source = 'supabase' and waits_for = 0
          and available_at <= (select now_at from clock)
        order by available_at desc limit 20) as waiting
    union all
    (select 'lease:' || sequence, lease_expires_at from ourvidz.jobs
      where worker = any (workers) and lease_expires_at <= (select now_at from clock)
        and lease_token <> all (held_tokens)
      order by lease_expires_at desc limit 20)
    union all
    (select 'overdue:' || sequence, expires_at from ourvidz.jobs
      where status = 'queued' and source = 'supabase' and expires_at <= (select now_at from clock)
      order by expires_at desc limit 20)
    union all
    (select 'end:' || job_id, free_at from ourvidz.job_ends
      where free_at <= (select now_at from clock)
      order by free_at desc limit 20)),
  upcoming as (
    select min(waiting.at) as at from ourvidz.open_workers(workers) as named (worker)
     cross join lateral (
       select min(available_at) as at from ourvidz.jobs
        where jobs.worker = named.worker and status = 'queued' and source = 'supabase' and waits_for = 0
          and available_at > (select now_at from clock)) as waiting
    union all
    select min(lease_expires_at) from ourvidz.jobs
     where worker = any (workers) and lease_expires_at > (select now_at from clock)
       and lease_token <> all (held_tokens)
    union all
    select min(expires_at) from ourvidz.jobs
     where status = 'queued' and source = 'supabase' and expires_at > (select now_at from clock)
    union all
    select min(free_at) from ourvidz.job_ends where free_at > (select now_at from clock))
  select jsonb_build_object(
    'now_ms', ourvidz.ms(now_at),
    'due', (select coalesce(jsonb_agg(due.name || ':' || ourvidz.ms(due.at)), '[]') from due),
    'next_ms', (select ourvidz.ms(min(upcoming.at)) from upcoming))
  from clock
$$;

revoke all on function public.due_jobs(text[], text[]) from public, anon, authenticated;
grant execute on function public.due_jobs(text[], text[]) to service_role;

-- ---- another priority

-- Gives a job that waits another priority. Safe to repeat.
create or replace function public.set_job_priority(job_id uuid, priority integer, only_source text default null)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  job ourvidz.jobs := ourvidz.lock_job(job_id, only_source);
begin
  if set_job_priority.priority is null or set_job_priority.priority not between -100 and 100 then
    perform ourvidz.refuse(400, 'INVALID_REQUEST', 'priority must be a whole number from -100 to 100.');
  end if;
  -- A job whose container is gone waits already.
  if ourvidz.expire_leases(1, job.id) > 0 then
    select * into job from ourvidz.jobs where id = job.id;
  end if;
  if job.status <> 'queued' then
    perform ourvidz.refuse(409, 'JOB_NOT_QUEUED',
      format('Job %s is %s: only a job that waits can be given another priority.', job.id, job.status),
      jsonb_build_object('status', job.status));
  end if;
  update ourvidz.jobs set priority = set_job_priority.priority where id = job.id;
  return jsonb_build_object('job_id', job.id, 'priority', set_job_priority.priority);
end $$;

revoke all on function public.set_job_priority(uuid, integer, text) from public, anon, authenticated;
grant execute on function public.set_job_priority(uuid, integer, text) to service_role;

-- ---- looking

-- 1: goes next; 0: does not wait any more. Not counted beyond 10,000: what is behind is one further.
create or replace function ourvidz.position_of(job ourvidz.jobs)
returns bigint language sql stable set search_path = '' as $$
  select case
    when job.status <> 'queued' then 0
    -- By the index of what is claimed from, which has jobs of this source alone.
    when job.source = 'supabase' then 1 + (
      select count(*) from (
        select from ourvidz.jobs as other
         where other.worker = job.worker and other.source = 'supabase' and other.status = 'queued' and other.waits_for = 0
           and other.available_at <= (select ourvidz.clock())
           and other.priority >= job.priority
           and (other.priority > job.priority or other.sequence < job.sequence)
         order by other.priority desc, other.sequence limit 10000) as ahead)
    else 1 + (
      select count(*) from (
        select from ourvidz.jobs as other
         where other.worker = job.worker and other.source = job.source and other.status = 'queued'
           and other.available_at <= (select ourvidz.clock())
           and (other.priority, -other.sequence) > (job.priority, -job.sequence)
         limit 10000) as ahead) end
$$;

create or replace function ourvidz.record_of(job ourvidz.jobs)
returns jsonb language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'sequence', job.sequence, 'job', job.element, 'worker', job.worker, 'queue', job.queue, 'source', job.source,
    'status', job.status, 'run', job.run, 'attempt', job.attempt,
    'cancel_requested', job.cancel_requested_at is not null,
    'progress', job.progress, 'waits_for', job.waits_for, 'depends_on', to_jsonb(job.depends_on),
    'waiting_for', ourvidz.waiting_for(job), 'priority', job.priority,
    'paused_since_ms', case when job.status = 'queued' then (
      select ourvidz.ms(paused.since) from ourvidz.paused_queues as paused where paused.worker = job.worker) end,
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
        from ourvidz.job_attempts as attempts where attempts.job_id = job.id), '[]'))
$$;

-- One job with its attempts and its place in the queue, null when there is none.
create or replace function public.get_job(job_id uuid, only_source text default null)
returns jsonb language sql stable security definer set search_path = '' as $$
  select ourvidz.record_of(jobs) || jsonb_build_object('place', nullif(ourvidz.position_of(jobs), 0)) from ourvidz.jobs
   where id = job_id and (only_source is null or source = only_source)
$$;

revoke all on function public.get_job(uuid, text) from public, anon, authenticated;
grant execute on function public.get_job(uuid, text) to service_role;

-- The first due jobs of a worker, in the order in which they go: records as get_job makes them, without their places. It ends
-- before the job that would bring it beyond `max_bytes`, though never before its first.
create or replace function public.waiting_jobs(worker text, max_jobs integer default 50, max_bytes bigint default 1048576)
returns jsonb language plpgsql stable security definer set search_path = '' as $$
declare
  job ourvidz.jobs;
  record jsonb;
  page jsonb := '[]';
  bytes bigint := 0;
begin
  for job in
    select * from ourvidz.jobs
     where jobs.worker = waiting_jobs.worker and status = 'queued' and source = 'supabase' and waits_for = 0
       and available_at <= (select ourvidz.clock())
     order by priority desc, sequence limit least(greatest(max_jobs, 1), 1000)
  loop
    record := ourvidz.record_of(job);
    bytes := bytes + octet_length(record::text);
    exit when bytes > max_bytes and page <> '[]';
    page := page || record;
  end loop;
  return page;
end $$;

revoke all on function public.waiting_jobs(text, integer, bigint) from public, anon, authenticated;
grant execute on function public.waiting_jobs(text, integer, bigint) to service_role;

-- What each queue holds, as before, and since when it is paused; also of one that is empty.
create or replace function public.queue_stats(only_source text default null)
returns jsonb language sql stable security definer set search_path = '' as $$
  -- Asked once: a time that changes between two rows would part them.
  with clock as materialized (select ourvidz.clock() as now_at)
  select coalesce(jsonb_agg(to_jsonb(each) order by each.queue), '[]') from (
    select counted.queue, counted.worker,
           count(*) filter (where status = 'queued' and is_due) as queued,
           count(*) filter (where status = 'queued' and not is_due) as delayed,
           count(*) filter (where status = 'running') as running,
           count(*) filter (where status = 'failed') as failed,
           round(extract(epoch from now_at - min(available_at) filter (where status = 'queued' and is_due))::numeric, 3)
             as oldest_queued_seconds,
           case when only_source is distinct from 'upstash' then ourvidz.unoffered(counted.worker, now_at)
                else '[]' end as unoffered,
           (select ourvidz.ms(paused.since) from ourvidz.paused_queues as paused where paused.worker = counted.worker)
             as paused_since_ms
      from (select jobs.*, clock.now_at, waits_for = 0 and available_at <= clock.now_at as is_due
              from ourvidz.jobs, clock
             where status in ('queued', 'running', 'failed')
               and (only_source is null or source = only_source)) as counted
     group by counted.queue, counted.worker, now_at
    union all
    select paused.worker || '_queue', paused.worker, 0, 0, 0, 0, null, '[]'::jsonb, ourvidz.ms(paused.since)
      from ourvidz.paused_queues as paused
     where not exists (
       select from ourvidz.jobs where worker = paused.worker and status in ('queued', 'running', 'failed')
          and (only_source is null or source = only_source))) as each
$$;

revoke all on function public.queue_stats(text) from public, anon, authenticated;
grant execute on function public.queue_stats(text) to service_role;
