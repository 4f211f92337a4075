-- Containers: where they are, what they can do, when they were last heard of.

-- Keeps the job types of a container that neither the contract nor the app has. Rows that somebody else has written stay as they
-- are, and so does the bucket of one that was registered before: the app may have set it.
create or replace function ourvidz.register_types(types jsonb)
returns void language sql set search_path = '' as $$
  insert into ourvidz.job_types as known (type, worker, content_type, bucket, registered_at, parameters)
  select distinct on (each.value ->> 'type') each.value ->> 'type', each.value ->> 'worker',
         nullif(each.value ->> 'content_type', 'nothing'), coalesce(each.value ->> 'bucket', each.value ->> 'type'),
         ourvidz.clock(), nullif(each.value -> 'parameters', 'null')
    from jsonb_array_elements(case jsonb_typeof(types) when 'array' then types else '[]' end) as each
   order by each.value ->> 'type'
  on conflict (type) do update
    set worker = excluded.worker, content_type = excluded.content_type, parameters = excluded.parameters
    where known.registered_at is not null
      and (known.worker, known.content_type, known.parameters)
          is distinct from (excluded.worker, excluded.content_type, excluded.parameters)
$$;

-- Writes a container's report of itself: {"worker_id", "worker_url", "status": "active" | "stopped", "capabilities",
-- "job_types": [{"type", "worker", "content_type", "bucket", "parameters"}, …],
-- "version", "registration_method", "detection_method", "timestamp", "healthy": whether its address was checked}. A
-- report that is older than the newest one changes nothing. Returns the row.
create or replace function public.register_worker(worker jsonb)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  now_at constant timestamptz := ourvidz.clock();
  -- A container whose clock was ahead must be heard again when it is set.
  said_at constant timestamptz := least((worker ->> 'timestamp')::timestamptz,
                                             case when worker ->> 'timestamp' is not null then now_at end);
  saved ourvidz.workers;
begin
  if worker ->> 'worker_id' is null or worker ->> 'worker_url' is null then
    perform ourvidz.refuse(400, 'INVALID_REQUEST', 'A registration needs worker_id and worker_url.');
  end if;
  insert into ourvidz.workers (worker_id, url, capabilities, status, version, registration_method, detection_method,
                              registered_at, last_seen_at, healthy_at, reported_at)
  values (worker ->> 'worker_id', worker ->> 'worker_url',
          array(select jsonb_array_elements_text(coalesce(worker -> 'capabilities', '[]'))),
          coalesce(worker ->> 'status', 'active'), worker ->> 'version', worker ->> 'registration_method',
          worker ->> 'detection_method', now_at, now_at,
          case when coalesce((worker ->> 'healthy')::boolean, false) then now_at end, said_at)
  on conflict (worker_id) do update
    set url = excluded.url, capabilities = excluded.capabilities, status = excluded.status,
        version = excluded.version, registration_method = excluded.registration_method,
        detection_method = excluded.detection_method, last_seen_at = now_at,
        healthy_at = coalesce(excluded.healthy_at, workers.healthy_at), reported_at = excluded.reported_at,
        -- One that was stopped begins anew.
        registered_at = case when workers.status = 'stopped' and excluded.status = 'active' then now_at
                             else workers.registered_at end
    where workers.reported_at is null or excluded.reported_at is null or excluded.reported_at >= workers.reported_at;
  perform ourvidz.register_types(worker -> 'job_types');
  select * into saved from ourvidz.workers where worker_id = worker ->> 'worker_id';
  return to_jsonb(saved);
end $$;

revoke all on function public.register_worker(jsonb) from public, anon, authenticated;
grant execute on function public.register_worker(jsonb) to service_role;

-- The container that was found healthy last among those with this capability (any, when null) that were heard of within
-- this time; null when there is none.
create or replace function public.find_active_worker(capability text default null, within_seconds double precision default 120)
returns jsonb language sql stable security definer set search_path = '' as $$
  select to_jsonb(workers) from ourvidz.workers
   where status = 'active' and last_seen_at > (select ourvidz.clock()) - ourvidz.seconds(within_seconds)
     and (capability is null or capability = any (capabilities))
   order by healthy_at desc nulls last, last_seen_at desc, worker_id
   limit 1
$$;

revoke all on function public.find_active_worker(text, double precision) from public, anon, authenticated;
grant execute on function public.find_active_worker(text, double precision) to service_role;

-- Notes whether a container answered a health check. Returns the row, null when it is not known.
create or replace function public.mark_worker_healthy(worker_id text, healthy boolean default true)
returns jsonb language sql security definer set search_path = '' as $$
  update ourvidz.workers set healthy_at = case when healthy then ourvidz.clock() end
   where workers.worker_id = mark_worker_healthy.worker_id
  returning to_jsonb(workers)
$$;

revoke all on function public.mark_worker_healthy(text, boolean) from public, anon, authenticated;
grant execute on function public.mark_worker_healthy(text, boolean) to service_role;

-- The state of the whole system in one object: queues, ends of the last hour, containers, outbox.
create or replace function public.system_metrics()
returns jsonb language sql stable security definer set search_path = '' as $$
  select jsonb_build_object(
    'at', clock.now_at,
    'queues', public.queue_stats(),
    'last_hour', (
      select jsonb_build_object(
               'completed', count(*) filter (where status = 'completed'),
               'failed', count(*) filter (where status = 'failed'),
               'cancelled', count(*) filter (where status = 'cancelled'),
               'mean_generation_seconds', avg(generation_seconds) filter (where status = 'completed'),
               'mean_queue_seconds', avg(queue_seconds) filter (where status = 'completed'))
        from ourvidz.jobs where settled_at > clock.now_at - interval '1 hour'),
    'gpu_seconds_last_day', (
      select coalesce(sum(gpu_seconds), 0) from ourvidz.usage where created_at > clock.now_at - interval '1 day'),
    'workers', (
      select coalesce(jsonb_agg(jsonb_build_object(
               'worker_id', worker_id, 'capabilities', capabilities, 'version', version,
               'last_seen_at', last_seen_at, 'healthy_at', healthy_at) order by worker_id), '[]')
        from ourvidz.workers where status = 'active' and last_seen_at > clock.now_at - interval '120 seconds'),
    'outbox', (
      select jsonb_build_object(
               'waiting', count(*), 'failing', count(*) filter (where last_error is not null),
               'oldest_seconds', extract(epoch from clock.now_at - min(created_at)))
        from ourvidz.queue_outbox))
    from (select ourvidz.clock() as now_at) as clock
$$;

revoke all on function public.system_metrics() from public, anon, authenticated;
grant execute on function public.system_metrics() to service_role;

-- Counts a request, and refuses it when the user has had as many within this minute. Returns how many it are.
create or replace function public.count_request(user_id uuid, kind text, per_minute integer)
returns integer language plpgsql security definer set search_path = '' as $$
declare
  counted integer;
begin
  insert into ourvidz.request_rates as rates (user_id, kind, minute, asked)
  values (count_request.user_id, count_request.kind, date_trunc('minute', ourvidz.clock()), 1)
  on conflict on constraint request_rates_pkey do update
    set asked = case when rates.minute = excluded.minute then rates.asked + 1 else 1 end, minute = excluded.minute
  returning rates.asked into counted;
  if counted > per_minute then
    perform ourvidz.refuse(429, 'TOO_MANY_REQUESTS',
      format('At most %s requests of this kind may be made in a minute: try again in the next one.', per_minute));
  end if;
  return counted;
end $$;

revoke all on function public.count_request(uuid, text, integer) from public, anon, authenticated;
grant execute on function public.count_request(uuid, text, integer) to service_role;
