-- A user's job is deleted with its files, which are not in this database: the job is withdrawn first, so that no redrive and no
-- callback begins anything new in its folder, then its files go, then its rows. Whatever ends in between is done by a repeat.

-- Since when the job is being deleted; null for every other.
alter table ourvidz.jobs add column if not exists withdrawn_at timestamptz;

-- Marks a job that has ended as being deleted. Answers what discard_jobs would: "discarded" when it may go now, "missing",
-- "unreported", or the state of one that has not ended; only the first marks it, also when it is marked.
create or replace function ourvidz.withdraw_job(job_id uuid)
returns text language plpgsql set search_path = '' as $$
declare
  job ourvidz.jobs;
begin
  perform ourvidz.lock_with_followers(array[job_id], true);
  select * into job from ourvidz.jobs where id = job_id for update;
  if not found then
    return 'missing';
  elsif not ourvidz.is_settled(job.status) then
    return job.status;
  elsif exists (select from ourvidz.job_ends as ends where ends.job_id = job.id) then
    return 'unreported';
  end if;
  update ourvidz.jobs set withdrawn_at = coalesce(withdrawn_at, ourvidz.clock()) where id = job.id;
  return 'discarded';
end $$;

-- The names in `public` are this migration's own as soon as its function is there.
do $$
declare
  functions constant text[] := array['withdraw_job'];
  taken text;
begin
  select string_agg('the function ' || oid::regprocedure::text, ', ' order by proname) into taken from pg_catalog.pg_proc
   where pronamespace = 'public'::regnamespace and proname = any (functions) and prosrc !~ '\mourvidz\.withdraw_job\M';
  if taken is not null then
    raise exception using errcode = 'PT409', hint = 'NAME_TAKEN', message = format(
      'This project has %s in the schema public already, which OurVidz needs: rename it and push again. Nothing of this file was changed.',
      taken);
  end if;
end $$;

create or replace function public.withdraw_job(job_id uuid)
returns text language sql security definer set search_path = '' as $$
  select ourvidz.withdraw_job(job_id)
$$;

revoke all on function public.withdraw_job(uuid) from public, anon, authenticated;
grant execute on function public.withdraw_job(uuid) to service_role;

-- Whatever would begin another run of a job that is being deleted: a redrive, and a callback of a job on Redis.
create or replace function ourvidz.refuse_withdrawn()
returns trigger language plpgsql set search_path = '' as $$
begin
  perform ourvidz.refuse(404, 'JOB_NOT_FOUND', format('Job %s is being deleted.', old.id));
  return null;
end $$;

drop trigger if exists refuse_withdrawn on ourvidz.jobs;
create trigger refuse_withdrawn before update of status on ourvidz.jobs
  for each row when (old.withdrawn_at is not null and new.status is distinct from old.status)
  execute function ourvidz.refuse_withdrawn();
