-- A moment at which a job expires: `config.expires_at`, beside the time that it may wait. The first of the two counts.

create or replace function ourvidz.expiry_moment_of(element jsonb)
returns timestamptz language plpgsql stable set search_path = '' as $$
declare
  given constant jsonb := nullif(element #> '{config,expires_at}', 'null');
  text_given constant text := element #>> '{config,expires_at}';
  moment timestamptz;
begin
  if given is null then
    return null;
  end if;
  begin
    if jsonb_typeof(given) = 'string'
      and text_given ~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$' then
      moment := text_given::timestamptz;
    end if;
  exception when datetime_field_overflow or invalid_datetime_format or invalid_time_zone_displacement_value then
    moment := null;
  end;
  if moment is null then
    perform ourvidz.refuse(422, 'INVALID_JOB', format(
      'config.expires_at: must be a moment with its offset from UTC, such as "2026-12-01T12:00:00Z", not %s.',
      left(given::text, 100)));
  end if;
  return moment;
end $$;

-- Null when the job has no limit.
create or replace function ourvidz.expiry_of(element jsonb, since timestamptz)
returns timestamptz language plpgsql stable set search_path = '' as $$
declare
  given constant jsonb := nullif(element #> '{config,expires_in_seconds}', 'null');
  limit_seconds constant double precision := ourvidz.to_number(given);
begin
  if given is not null and (limit_seconds is null or limit_seconds <= 0 or limit_seconds > 2592000) then
    perform ourvidz.refuse(422, 'INVALID_JOB', format(
      'config.expires_in_seconds: must be a number of seconds above 0, at most 2592000 (30 days), not %s.',
      left(given::text, 100)));
  end if;
  return least(since + ourvidz.seconds(limit_seconds), ourvidz.expiry_moment_of(element));
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
  if job.element #>> '{config,expires_in_seconds}' is null or job.expires_at = ourvidz.expiry_moment_of(job.element) then
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
