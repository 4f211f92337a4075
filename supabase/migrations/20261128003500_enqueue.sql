-- The producer's side: jobs come in, and what is meant for Redis waits in the outbox until it is pushed.

drop function if exists ourvidz.request_of(jsonb);

-- What a job asks for: without its id and its producer's time stamp, which differ when it is sent again, and with the bucket
-- that a job without one is given.
create or replace function ourvidz.request_of(element jsonb, given_bucket text)
returns jsonb language sql immutable set search_path = '' as $$
  select element - 'id' - 'created_at' || jsonb_build_object('bucket', coalesce(element ->> 'bucket', given_bucket))
$$;

-- 1: goes next, as far as priority and age tell; 0: does not wait (any more).
create or replace function ourvidz.position_of(job ourvidz.jobs)
returns bigint language sql stable set search_path = '' as $$
  select case when job.status <> 'queued' then 0 else 1 + (
    select count(*) from ourvidz.jobs as other
     where other.worker = job.worker and other.source = job.source and other.status = 'queued' and other.waits_for = 0
       and other.available_at <= (select ourvidz.clock())
       and (other.priority, -other.sequence) > (job.priority, -job.sequence)) end
$$;

-- The jobs that this one waits for, which must be its user's own. Returns how many are not completed.
create or replace function ourvidz.check_dependencies(job_ids uuid[], owner uuid)
returns integer language plpgsql set search_path = '' as $$
declare
  each uuid;
  dependency ourvidz.jobs;
  waiting integer := 0;
begin
  foreach each in array job_ids loop
    -- Locked, so that it does not end between this look and the insertion of the job that waits.
    select * into dependency from ourvidz.jobs where id = each and user_id is not distinct from owner for share;
    if not found then
      perform ourvidz.no_such_job(format('%s to depend on', each));
    elsif dependency.status in ('failed', 'cancelled') then
      perform ourvidz.refuse(424, 'DEPENDENCY_FAILED',
        format('Job %s is %s: a job that depends on it can never run.', each, dependency.status));
    elsif dependency.status <> 'completed' then
      waiting := waiting + 1;
    end if;
  end loop;
  return waiting;
end $$;

create or replace function ourvidz.insert_job(element jsonb, options jsonb, job_id uuid, owner uuid)
returns ourvidz.jobs language plpgsql set search_path = '' as $$
declare
  known ourvidz.job_types;
  job ourvidz.jobs;
  chosen text := coalesce(options ->> 'source', 'upstash');
  depends uuid[];
  parent uuid := coalesce(ourvidz.to_uuid(options ->> 'parent_job_id'),
                          ourvidz.to_uuid(element #>> '{metadata,parent_job_id}'));
  now_at constant timestamptz := ourvidz.clock();
  due constant timestamptz := now_at + ourvidz.seconds(coalesce(ourvidz.to_number(options -> 'delay_seconds'), 0));
  listed jsonb := coalesce(nullif(options -> 'depends_on', 'null'), nullif(element -> 'depends_on', 'null'), '[]');
  -- A bucket of the job type's row goes with the job, which is all that a container sees of it.
  stamp jsonb := jsonb_build_object('id', job_id);
begin
  select * into known from ourvidz.job_types where type = element ->> 'type';
  if known.type is null and options ->> 'worker' is null then
    perform ourvidz.refuse(422, 'UNKNOWN_JOB_TYPE', format('The job type "%s" is not known; known: %s.',
      element ->> 'type', (select string_agg(type, ', ' order by type) from ourvidz.job_types)));
  end if;
  if jsonb_typeof(listed) <> 'array' or jsonb_array_length(listed) > 100 then
    perform ourvidz.refuse(422, 'INVALID_JOB', 'depends_on must be a list of at most 100 job ids.');
  end if;
  select coalesce(array_agg(distinct ourvidz.to_uuid(value)), '{}') into depends
    from jsonb_array_elements_text(listed);
  if array_position(depends, null) is not null then
    perform ourvidz.refuse(422, 'INVALID_JOB', 'depends_on must be a list of job ids, each a UUID.');
  end if;
  if cardinality(depends) > 0 and chosen = 'upstash' then
    perform ourvidz.refuse(422, 'UNSUPPORTED_OPTION',
      'A job that depends on others must have the source "supabase": a job on Redis does not wait for others.');
  end if;
  if parent is not null and not exists (
      select from ourvidz.jobs where id = parent and user_id is not distinct from owner) then
    parent := null;
  end if;
  if element ->> 'bucket' is null and known.bucket <> known.type then
    stamp := stamp || jsonb_build_object('bucket', known.bucket);
  end if;
  insert into ourvidz.jobs (id, user_id, type, worker, source, prompt, negative_prompt, model_variant, bucket, priority,
                           element, request, parent_job_id, depends_on, waits_for, created_at, available_at)
  values (job_id, owner, element ->> 'type', coalesce(options ->> 'worker', known.worker), chosen,
          element ->> 'prompt', element ->> 'negative_prompt', element ->> 'model_variant',
          coalesce(element ->> 'bucket', known.bucket, element ->> 'type'),
          coalesce((element ->> 'priority')::integer, 0), element || stamp,
          options ->> 'request', parent, depends, ourvidz.check_dependencies(depends, owner), now_at, due)
  on conflict (id) do nothing
  returning * into job;
  if job.id is not null and chosen = 'upstash' then
    insert into ourvidz.queue_outbox (job_id, queue, element, created_at, next_try_at)
    values (job.id, job.queue, job.element, now_at, due);
  end if;
  return job;
end $$;

-- Refuses a new job of a user who has as many as they may: waiting at the same time, and made within a minute.
create or replace function ourvidz.check_limits(options jsonb, whose uuid)
returns void language plpgsql set search_path = '' as $$
declare
  most_waiting constant integer := options ->> 'max_waiting';
  most_per_minute constant integer := options ->> 'max_per_minute';
  counted bigint;
begin
  if most_waiting is not null then
    select count(*) into counted from ourvidz.jobs where status = 'queued' and user_id is not distinct from whose;
    if counted >= most_waiting then
      perform ourvidz.refuse(429, 'TOO_MANY_JOBS',
        format('%s jobs are waiting, at most %s may: try again when some have run.', counted, most_waiting));
    end if;
  end if;
  if most_per_minute is not null then
    select count(*) into counted from ourvidz.jobs
     where user_id is not distinct from whose and created_at > ourvidz.clock() - interval '1 minute';
    if counted >= most_per_minute then
      perform ourvidz.refuse(429, 'TOO_MANY_JOBS',
        format('%s jobs were made within a minute, at most %s may be: try again in a minute.', counted, most_per_minute));
    end if;
  end if;
end $$;

-- Puts a job on its worker's queue.
--
--   job      the job as it is on the wire; without an id it gets one
--   options  {"source": "upstash" | "supabase", "worker", "idempotency_key", "delay_seconds", "depends_on": [job id, …],
--             "parent_job_id", "max_waiting", "max_per_minute", "request": names this call, so that it may be repeated}
--
-- Returns {"job_id", "created", "position", "queue", "status", "element", "waiting_for": what a job of the source "supabase" needs
-- and no container offers, else null}. The same id or idempotency key with the same
-- body answers the earlier job; with another body it is refused (IDEMPOTENCY_CONFLICT).
create or replace function public.enqueue_job(job jsonb, options jsonb default '{}')
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  owner_text constant text := coalesce(job ->> 'user_id', 'anonymous');
  whose uuid;
  wanted_id uuid;
  named_key constant text := options ->> 'idempotency_key';
  is_limited constant boolean := options ? 'max_waiting' or options ? 'max_per_minute';
  by_key boolean := false;
  earlier ourvidz.jobs;
  made ourvidz.jobs;
begin
  if jsonb_typeof(job) is distinct from 'object' or job ->> 'type' is null then
    perform ourvidz.refuse(422, 'INVALID_JOB', 'The job must be an object with a type.');
  end if;
  wanted_id := case when job ->> 'id' is null then gen_random_uuid() else ourvidz.to_uuid(job ->> 'id') end;
  if wanted_id is null then
    perform ourvidz.refuse(422, 'INVALID_JOB', format('id: must be a UUID, not "%s".', left(job ->> 'id', 128)));
  end if;
  if owner_text <> 'anonymous' then
    whose := ourvidz.to_uuid(owner_text);
    if whose is null or not exists (select from auth.users where id = whose) then
      perform ourvidz.refuse(422, 'INVALID_JOB', format('user_id: there is no user "%s".', left(owner_text, 128)));
    end if;
  end if;
  -- Calls with one key, or that count one user's jobs, go one after another; locks are always taken in this order.
  if is_limited then
    perform pg_advisory_xact_lock(hashtextextended('ourvidz waiting ' || ourvidz.owner_of(whose), 0));
  end if;
  if named_key is not null then
    perform pg_advisory_xact_lock(hashtextextended('ourvidz key ' || ourvidz.owner_of(whose) || ' ' || named_key, 0));
    select jobs.* into earlier from ourvidz.idempotency_keys as keys join ourvidz.jobs on jobs.id = keys.job_id
     where keys.owner = ourvidz.owner_of(whose) and keys.key = named_key;
    by_key := found;
  end if;
  if not by_key then
    select * into earlier from ourvidz.jobs where id = wanted_id;
  end if;
  if earlier.id is null then
    perform ourvidz.check_limits(options, whose);
    made := ourvidz.insert_job(job, options, wanted_id, whose);
    if made.id is null then
      -- Somebody else has inserted it since; that one is committed now.
      select * into earlier from ourvidz.jobs where id = wanted_id;
    end if;
  end if;
  if earlier.id is not null then
    if earlier.user_id is distinct from whose or ourvidz.request_of(earlier.element, earlier.bucket) <> ourvidz.request_of(job, earlier.bucket) then
      perform ourvidz.refuse(409, 'IDEMPOTENCY_CONFLICT', format(
        '%s was used for a job with another body: send the same body again, or use a new one.',
        case when by_key then format('Idempotency key "%s"', named_key) else format('Job id %s', wanted_id) end),
        case when earlier.user_id is not distinct from whose then jsonb_build_object('jobId', earlier.id) end);
    end if;
    made := earlier;
  end if;
  if named_key is not null then
    insert into ourvidz.idempotency_keys (owner, key, job_id)
    values (ourvidz.owner_of(whose), named_key, made.id) on conflict do nothing;
  end if;
  return jsonb_build_object(
    'job_id', made.id,
    'created', earlier.id is null or coalesce(earlier.request = options ->> 'request', false),
    'position', ourvidz.position_of(made), 'queue', made.queue, 'status', made.status, 'element', made.element,
    'waiting_for', ourvidz.waiting_for(made));
end $$;

revoke all on function public.enqueue_job(jsonb, jsonb) from public, anon, authenticated;
grant execute on function public.enqueue_job(jsonb, jsonb) to service_role;

-- ---- the outbox towards Redis

-- Elements that nobody has pushed yet, given out for 30 seconds. A new one belongs to the call that enqueued it for
-- `older_than_seconds`.
create or replace function public.queue_outbox_due(max_rows integer default 20, older_than_seconds integer default 10)
returns table (job_id uuid, queue text, element jsonb)
language sql security definer set search_path = '' as $$
  with due as (
    select outbox.job_id from ourvidz.queue_outbox as outbox
     where outbox.next_try_at <= (select ourvidz.clock())
       and (outbox.tries > 0
            or greatest(outbox.created_at, outbox.next_try_at) <= (select ourvidz.clock()) - ourvidz.seconds(older_than_seconds))
     order by outbox.next_try_at
     limit least(greatest(max_rows, 0), 500)
       for update skip locked)
  update ourvidz.queue_outbox as outbox
     set tries = outbox.tries + 1, next_try_at = ourvidz.clock() + interval '30 seconds'
    from due where outbox.job_id = due.job_id
  returning outbox.job_id, outbox.queue, outbox.element
$$;

revoke all on function public.queue_outbox_due(integer, integer) from public, anon, authenticated;
grant execute on function public.queue_outbox_due(integer, integer) to service_role;

-- These are pushed. Returns how many were known.
create or replace function public.queue_outbox_done(job_ids uuid[])
returns bigint language sql security definer set search_path = '' as $$
  with done as (delete from ourvidz.queue_outbox where job_id = any (job_ids) returning 1)
  select count(*) from done
$$;

revoke all on function public.queue_outbox_done(uuid[]) from public, anon, authenticated;
grant execute on function public.queue_outbox_done(uuid[]) to service_role;

-- These could not be pushed: again after a pause that grows to ten minutes. Returns how many were known.
create or replace function public.queue_outbox_failed(job_ids uuid[], error text)
returns bigint language sql security definer set search_path = '' as $$
  with failed as (
    update ourvidz.queue_outbox
       set tries = greatest(tries, 1), last_error = left(error, 500),
           next_try_at = ourvidz.clock() + make_interval(secs => least(5 * 2 ^ least(greatest(tries, 1) - 1, 10), 600))
     where job_id = any (job_ids)
    returning 1)
  select count(*) from failed
$$;

revoke all on function public.queue_outbox_failed(uuid[], text) from public, anon, authenticated;
grant execute on function public.queue_outbox_failed(uuid[], text) to service_role;
