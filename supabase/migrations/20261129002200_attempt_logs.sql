-- What failed attempts have printed, for whoever does not reach the container that ran them. They are the operator's to read:
-- an app's users see a job's error, not its log.

-- The names in `public` are this migration's own as soon as its table is there.
do $$
declare
  functions constant text[] := array['keep_attempt_log', 'read_attempt_log'];
  taken text;
begin
  if to_regclass('ourvidz.attempt_logs') is null then
    select string_agg('the function ' || oid::regprocedure::text, ', ' order by proname) into taken from pg_catalog.pg_proc
     where pronamespace = 'public'::regnamespace and proname = any (functions);
  end if;
  if taken is not null then
    raise exception using errcode = 'PT409', hint = 'NAME_TAKEN', message = format(
      'This project has %s in the schema public already, which OurVidz needs: rename it and push again. Nothing of this file was changed.',
      taken);
  end if;
end $$;

create table if not exists ourvidz.attempt_logs (
  job_id  uuid    not null references ourvidz.jobs (id) on delete cascade,
  attempt integer not null,
  run     integer not null,
  log     jsonb   not null check (octet_length(log::text) <= 65536),
  primary key (job_id, attempt)
);

alter table ourvidz.attempt_logs enable row level security;
revoke all on ourvidz.attempt_logs from public, anon, authenticated, service_role;

-- log: {"job_id", "attempt", "run", …}, as AttemptLog of functions/_shared/attempt-log.ts. Of a job that is not known, nothing is kept.
create or replace function public.keep_attempt_log(log jsonb)
returns void language sql security definer set search_path = '' as $$
  insert into ourvidz.attempt_logs (job_id, attempt, run, log)
  select jobs.id, (keep_attempt_log.log ->> 'attempt')::integer, (keep_attempt_log.log ->> 'run')::integer, keep_attempt_log.log
    from ourvidz.jobs where jobs.id = (keep_attempt_log.log ->> 'job_id')::uuid
  on conflict (job_id, attempt) do update set run = excluded.run, log = excluded.log
$$;

revoke all on function public.keep_attempt_log(jsonb) from public, anon, authenticated;
grant execute on function public.keep_attempt_log(jsonb) to service_role;

-- Of the job's newest run; null when there is none.
create or replace function public.read_attempt_log(job_id uuid, attempt integer)
returns jsonb language sql stable security definer set search_path = '' as $$
  select logs.log from ourvidz.attempt_logs as logs
    join ourvidz.jobs on jobs.id = logs.job_id and jobs.run = logs.run
   where logs.job_id = read_attempt_log.job_id and logs.attempt = read_attempt_log.attempt
$$;

revoke all on function public.read_attempt_log(uuid, integer) from public, anon, authenticated;
grant execute on function public.read_attempt_log(uuid, integer) to service_role;
