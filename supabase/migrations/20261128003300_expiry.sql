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

drop trigger if exists set_expiry on ourvidz.jobs;
create trigger set_expiry before insert on ourvidz.jobs
  for each row execute function ourvidz.set_expiry();

drop trigger if exists renew_expiry on ourvidz.jobs;
create trigger renew_expiry before update of status on ourvidz.jobs
  for each row when (new.status = 'queued' and old.status in ('completed', 'failed', 'cancelled'))
  execute function ourvidz.set_expiry();

-- Jobs that a newer container or function has put here before this migration came.
update ourvidz.jobs
   set expires_at = created_at + ourvidz.seconds(ourvidz.to_number(element #> '{config,expires_in_seconds}'))
 where status in ('queued', 'running') and expires_at is null
   and ourvidz.to_number(element #> '{config,expires_in_seconds}') between 0.001 and 2592000;
