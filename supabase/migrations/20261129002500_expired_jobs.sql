-- Jobs that were made before `config.expires_at` meant anything may have anything there. Only who makes or redrives a job is refused
-- for it: a job that is there expires, and a callback is taken, whatever its config says.

-- Null when the job names no moment, or none that can be read.
create or replace function ourvidz.readable_moment_of(element jsonb)
returns timestamptz language plpgsql stable set search_path = '' as $$
declare
  given constant text := element #>> '{config,expires_at}';
begin
  if jsonb_typeof(element #> '{config,expires_at}') = 'string'
    and given ~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$' then
    return given::timestamptz;
  end if;
  return null;
exception when datetime_field_overflow or invalid_datetime_format or invalid_time_zone_displacement_value then
  return null;
end $$;

create or replace function ourvidz.expiry_moment_of(element jsonb)
returns timestamptz language plpgsql stable set search_path = '' as $$
declare
  given constant jsonb := nullif(element #> '{config,expires_at}', 'null');
  moment constant timestamptz := ourvidz.readable_moment_of(element);
begin
  if given is not null and moment is null then
    perform ourvidz.refuse(422, 'INVALID_JOB', format(
      'config.expires_at: must be a moment with its offset from UTC, such as "2026-12-01T12:00:00Z", not %s.',
      left(given::text, 100)));
  end if;
  return moment;
end $$;

-- As expiry_of, without what cannot be read.
create or replace function ourvidz.readable_expiry_of(element jsonb, since timestamptz)
returns timestamptz language sql stable set search_path = '' as $$
  select least(
    since + ourvidz.seconds(case when given.seconds > 0 and given.seconds <= 2592000 then given.seconds end),
    ourvidz.readable_moment_of(element))
    from (select ourvidz.to_number(element #> '{config,expires_in_seconds}') as seconds) as given
$$;

create or replace function ourvidz.set_expiry()
returns trigger language plpgsql set search_path = '' as $$
begin
  if tg_op = 'INSERT' then
    new.expires_at := ourvidz.expiry_of(new.element, new.created_at);
  else
    new.expires_at := ourvidz.readable_expiry_of(new.element, ourvidz.clock());
  end if;
  return new;
end $$;

create or replace function ourvidz.redrive_one(job ourvidz.jobs, request text)
returns ourvidz.jobs language plpgsql set search_path = '' as $$
declare
  redriven ourvidz.jobs;
begin
  perform ourvidz.expiry_of(job.element, ourvidz.clock());
  update ourvidz.jobs
     set status = 'queued', waits_for = ourvidz.check_redrive(job), attempt = 0, run = run + 1,
         earlier_attempts = earlier_attempts + greatest(attempt, 1), cancel_requested_at = null, progress = null,
         error = null, settled_at = null, started_at = null, lease_token = null, metadata = null,
         available_at = ourvidz.clock(), operator_request = redrive_one.request
   where id = job.id returning * into redriven;
  delete from ourvidz.job_attempts as attempts where attempts.job_id = job.id;
  if redriven.source = 'upstash' then
    insert into ourvidz.queue_outbox as outbox (job_id, queue, element, created_at, next_try_at)
    values (redriven.id, redriven.queue, redriven.element || jsonb_build_object('run', redriven.run),
            ourvidz.clock(), ourvidz.clock())
    on conflict (job_id) do update set element = excluded.element, next_try_at = excluded.next_try_at;
  end if;
  return redriven;
end $$;

create or replace function ourvidz.expire_job(job ourvidz.jobs)
returns void language plpgsql set search_path = '' as $$
declare
  cause text := '';
  own_limit text;
begin
  if job.waits_for > 0 then
    cause := format(' It waited for %s that %s not completed.',
      case job.waits_for when 1 then 'a job' else job.waits_for || ' jobs' end,
      case job.waits_for when 1 then 'has' else 'have' end);
  elsif not ourvidz.is_offered(job.worker, job.type, job.model_variant) then
    cause := format(' It needed the job type %s%s, which no container offered.', job.type, ' with the model ' || job.model_variant);
  end if;
  if job.element #>> '{config,expires_in_seconds}' is null or job.expires_at = ourvidz.readable_moment_of(job.element) then
    own_limit := 'still waited when its own moment had come (config.expires_at)';
  else
    own_limit := format('waited longer than its own limit of %s s (config.expires_in_seconds)',
      job.element #>> '{config,expires_in_seconds}');
  end if;
  update ourvidz.jobs
     set status = 'failed', settled_at = ourvidz.clock(), lease_token = null, progress = null,
         error = jsonb_build_object('code', 'EXPIRED', 'message', format('The job %s.%s', own_limit, cause))
   where id = job.id and status = 'queued';
end $$;
