-- How long a job may wait: `config.expires_in_seconds` after it was made, or redriven. A running one is not interrupted;
-- when it goes back to the queue after that time, it ends then.

-- Null when the job has no limit.
create or replace function ourvidz.expiry_of(element jsonb, since timestamptz)
returns timestamptz language plpgsql immutable set search_path = '' as $$
declare
  given constant jsonb := nullif(element #> '{config,expires_in_seconds}', 'null');
  limit_seconds constant double precision := ourvidz.to_number(given);
begin
  if given is not null and (limit_seconds is null or limit_seconds <= 0 or limit_seconds > 2592000) then
    perform ourvidz.refuse(422, 'INVALID_JOB', format(
      'config.expires_in_seconds: must be a number of seconds above 0, at most 2592000 (30 days), not %s.',
      left(given::text, 100)));
  end if;
  return since + ourvidz.seconds(limit_seconds);
end $$;

create or replace function ourvidz.set_expiry()
returns trigger language plpgsql set search_path = '' as $$
begin
  if tg_op = 'INSERT' then
    new.expires_at := ourvidz.expiry_of(new.element, new.created_at);
  else
    new.expires_at := ourvidz.expiry_of(new.element, ourvidz.clock());
  end if;
  return new;
end $$;

drop trigger if exists set_expiry on public.jobs;
create trigger set_expiry before insert on public.jobs
  for each row execute function ourvidz.set_expiry();

drop trigger if exists renew_expiry on public.jobs;
create trigger renew_expiry before update of status on public.jobs
  for each row when (new.status = 'queued' and old.status in ('completed', 'failed', 'cancelled'))
  execute function ourvidz.set_expiry();

-- Jobs that a newer container or function has put here before this migration came.
update public.jobs
   set expires_at = created_at + ourvidz.seconds(ourvidz.to_number(element #> '{config,expires_in_seconds}'))
 where status in ('queued', 'running') and expires_at is null
   and ourvidz.to_number(element #> '{config,expires_in_seconds}') between 0.001 and 2592000;

-- Ends a job that waited longer than it may; the caller has it locked.
create or replace function ourvidz.expire_job(job public.jobs)
returns void language plpgsql set search_path = '' as $$
declare
  cause text := '';
begin
  if job.waits_for > 0 then
    cause := format(' It waited for %s that %s not completed.',
      case job.waits_for when 1 then 'a job' else job.waits_for || ' jobs' end,
      case job.waits_for when 1 then 'has' else 'have' end);
  elsif not ourvidz.is_offered(job.worker, job.type, job.model_variant) then
    cause := format(' It needed the job type %s%s, which no container offered.', job.type, ' with the model ' || job.model_variant);
  end if;
  update public.jobs
     set status = 'failed', settled_at = ourvidz.clock(), lease_token = null, progress = null,
         error = jsonb_build_object('code', 'EXPIRED', 'message', format(
           'The job waited longer than its own limit of %s s (config.expires_in_seconds).%s',
           job.element #>> '{config,expires_in_seconds}', cause))
   where id = job.id and status = 'queued';
end $$;

-- Ends jobs that waited longer than they may. Rows that somebody is busy with are left to the next call.
create or replace function ourvidz.expire_waiting(most integer)
returns integer language plpgsql set search_path = '' as $$
declare
  job public.jobs;
  expired integer := 0;
begin
  for job in
    select * from public.jobs
     where status = 'queued' and source = 'supabase' and expires_at <= (select ourvidz.clock())
     order by expires_at limit most for update skip locked
  loop
    perform ourvidz.expire_job(job);
    expired := expired + 1;
  end loop;
  return expired;
end $$;

-- What an app may call from time to time (pg_cron): brings jobs of dead containers back, ends those that waited longer
-- than they may, forgets old ones. `keep_days` null keeps everything. Claims see to the first two by themselves.
create or replace function public.sweep_expired(keep_days double precision default null, most integer default 500)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  expired integer := ourvidz.expire_leases(greatest(most, 0));
  overdue integer := ourvidz.expire_waiting(greatest(most, 0));
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
  return jsonb_build_object('expired', expired, 'overdue', overdue, 'deleted', deleted);
end $$;

revoke all on function public.sweep_expired(double precision, integer) from public, anon, authenticated;
grant execute on function public.sweep_expired(double precision, integer) to service_role;
