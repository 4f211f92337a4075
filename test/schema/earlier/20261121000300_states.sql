-- What all functions share: refusals, the clock, the state machine of jobs and what follows from an end.
--
-- These are in a schema that the REST API does not show, and are called by functions that run as their owner.

-- Ends the transaction with an HTTP status, a sentence, and the code by which programs know it.
create or replace function ourvidz.refuse(http_status integer, code text, message text, details jsonb default null)
returns void language plpgsql set search_path = '' as $$
begin
  raise exception using errcode = 'PT' || http_status, message = message, hint = code,
    detail = coalesce(details::text, '');
end $$;

-- In whole milliseconds, as JavaScript has them, so that a time that is read back compares equal.
create or replace function ourvidz.clock()
returns timestamptz language sql volatile set search_path = '' as $$
  select date_trunc('milliseconds', clock_timestamp())
$$;

create or replace function ourvidz.ms(moment timestamptz)
returns bigint language sql immutable set search_path = '' as $$
  select round(extract(epoch from moment) * 1000)::bigint
$$;

create or replace function ourvidz.seconds(amount double precision)
returns interval language sql immutable set search_path = '' as $$
  select make_interval(secs => round(amount * 1000) / 1000)
$$;

-- Null for what is no UUID, where a cast would be an error.
create or replace function ourvidz.to_uuid(value text)
returns uuid language sql immutable set search_path = '' as $$
  select case when value ~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' then value::uuid end
$$;

-- Null for what is no number, where a cast would be an error.
create or replace function ourvidz.to_number(value jsonb)
returns double precision language sql immutable set search_path = '' as $$
  select case when jsonb_typeof(value) = 'number' then value::text::double precision end
$$;

-- The user as the job on the wire names it, which is also the first folder of its files.
create or replace function ourvidz.owner_of(user_id uuid)
returns text language sql immutable set search_path = '' as $$
  select coalesce(user_id::text, 'anonymous')
$$;

-- Whether the service calls, or an operator at the database's own prompt. In a function that runs as its owner, the
-- setting `role` still names the caller.
create or replace function ourvidz.caller_is_service()
returns boolean language sql stable set search_path = '' as $$
  select coalesce(nullif(current_setting('role', true), 'none'), session_user::text)
         not in ('anon', 'authenticated', 'authenticator')
$$;

create or replace function ourvidz.is_settled(status public.job_status)
returns boolean language sql immutable set search_path = '' as $$
  select status in ('completed', 'failed', 'cancelled')
$$;

create or replace function ourvidz.no_such_job(job_id text)
returns void language plpgsql set search_path = '' as $$
begin
  perform ourvidz.refuse(404, 'JOB_NOT_FOUND', format('There is no job %s.', job_id));
end $$;

-- ---- the state machine, in one place: no statement of whoever brings a job elsewhere

create or replace function ourvidz.check_transition()
returns trigger language plpgsql security definer set search_path = '' as $$
begin
  if tg_op = 'INSERT' then
    if new.status <> 'queued' then
      perform ourvidz.refuse(409, 'INVALID_REQUEST', format('A new job is queued, it cannot be %s.', new.status));
    end if;
    return new;
  end if;
  if old.status <> new.status and (old.status, new.status) not in (
    ('queued', 'running'), ('queued', 'cancelled'), ('queued', 'failed'),
    ('running', 'queued'), ('running', 'completed'), ('running', 'failed'), ('running', 'cancelled'),
    ('failed', 'queued')) then
    perform ourvidz.refuse(409,
      case when ourvidz.is_settled(old.status) then 'JOB_ALREADY_SETTLED' else 'INVALID_REQUEST' end,
      format('Job %s is %s: it cannot become %s.', old.id, old.status, new.status));
  end if;
  return new;
end $$;

drop trigger if exists check_transition on public.jobs;
create trigger check_transition before insert or update of status on public.jobs
  for each row execute function ourvidz.check_transition();

-- ---- dependencies: a job waits for others, and fails when one of them does not complete

-- Fails the jobs that wait for this one. Their own dependents follow by the same trigger.
create or replace function ourvidz.fail_dependents(job_id uuid, what text)
returns void language plpgsql set search_path = '' as $$
begin
  update public.jobs
     set status = 'failed', settled_at = ourvidz.clock(), lease_token = null,
         error = jsonb_build_object('code', 'DEPENDENCY_FAILED',
           'message', format('Job %s, on which this one depends, %s.', job_id, what),
           'details', jsonb_build_object('job_id', job_id))
   where waits_for > 0 and depends_on @> array[job_id] and status = 'queued';
end $$;

create or replace function ourvidz.follow_end()
returns trigger language plpgsql security definer set search_path = '' as $$
begin
  if tg_op = 'DELETE' then
    if old.status <> 'completed' then
      perform ourvidz.fail_dependents(old.id, 'was deleted');
    end if;
  elsif new.status = 'completed' then
    update public.jobs
       set waits_for = waits_for - 1,
           available_at = case when waits_for = 1 then greatest(available_at, ourvidz.clock()) else available_at end
     where waits_for > 0 and depends_on @> array[new.id];
  elsif new.status in ('failed', 'cancelled') then
    perform ourvidz.fail_dependents(new.id,
      case new.status when 'failed' then 'failed' else 'was cancelled' end);
  end if;
  return null;
end $$;

drop trigger if exists follow_end on public.jobs;
create trigger follow_end after update of status on public.jobs
  for each row when (old.status is distinct from new.status) execute function ourvidz.follow_end();

drop trigger if exists follow_deletion on public.jobs;
create trigger follow_deletion after delete on public.jobs
  for each row execute function ourvidz.follow_end();

-- ---- what an end leaves behind

-- Files of a job, one row for each index. `strict`: what does not belong to the job is refused, else it is left out.
create or replace function ourvidz.write_assets(job public.jobs, assets jsonb, strict boolean)
returns integer language plpgsql set search_path = '' as $$
declare
  prefix constant text := ourvidz.owner_of(job.user_id) || '/' || job.id || '/';
  asset jsonb;
  place text;
  written integer := 0;
begin
  for asset in select value from jsonb_array_elements(
      case when jsonb_typeof(assets) = 'array' then assets else '[]' end) loop
    foreach place in array array[asset ->> 'url', asset ->> 'thumbnail_url'] loop
      if place is not null and (not starts_with(place, prefix) or place ~ '(^|/)\.\.?(/|$)|//|\\|[[:cntrl:]]') then
        if strict then
          perform ourvidz.refuse(422, 'ASSET_PATH_REFUSED',
            format('Asset "%s" of job %s is refused: its path must begin with %s.', left(place, 200), job.id, prefix));
        end if;
        asset := null;
        exit;
      end if;
    end loop;
    continue when asset ->> 'url' is null or coalesce(asset ->> 'index', '') !~ '^\d{1,6}$'
      or coalesce(asset ->> 'type', '') not in ('image', 'video', 'text');
    insert into public.assets (job_id, index, type, bucket, path, thumbnail_path, mime_type, size_bytes, metadata)
    values (job.id, (asset ->> 'index')::integer, asset ->> 'type', job.bucket, asset ->> 'url',
            asset ->> 'thumbnail_url', asset ->> 'mime_type', ourvidz.to_number(asset -> 'size_bytes')::bigint,
            coalesce(asset -> 'metadata', '{}'))
    on conflict (job_id, index) do update
      set type = excluded.type, bucket = excluded.bucket, path = excluded.path,
          thumbnail_path = excluded.thumbnail_path, mime_type = excluded.mime_type,
          size_bytes = excluded.size_bytes, metadata = excluded.metadata;
    written := written + 1;
  end loop;
  return written;
end $$;

-- One row for each attempt that ended, however often its end is told.
create or replace function ourvidz.write_usage(job public.jobs, gpu_seconds double precision)
returns void language sql set search_path = '' as $$
  insert into public.usage (job_id, attempt, user_id, type, status, gpu_seconds, files, bytes, created_at)
  select job.id, job.earlier_attempts + greatest(job.attempt, 1), job.user_id, job.type, job.status, greatest(coalesce(gpu_seconds, 0), 0),
         count(assets.index), coalesce(sum(assets.size_bytes), 0), ourvidz.clock()
    from (select 1) as one left join public.assets on assets.job_id = job.id and job.status = 'completed'
  on conflict (job_id, attempt) do nothing
$$;
