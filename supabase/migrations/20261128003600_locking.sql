-- The job, locked, as the caller may see it: users know of their own jobs only.
create or replace function ourvidz.lock_job(job_id uuid, only_source text)
returns ourvidz.jobs language plpgsql set search_path = '' as $$
declare
  job ourvidz.jobs;
  visible boolean;
begin
  select ourvidz.caller_is_service() or user_id = (select auth.uid()) into visible from ourvidz.jobs where id = job_id;
  if visible then
    perform ourvidz.lock_with_followers(array[job_id], true);
    select * into job from ourvidz.jobs where id = job_id for update;
  end if;
  if job.id is null then
    perform ourvidz.no_such_job(job_id::text);
  elsif job.source <> only_source then
    perform ourvidz.refuse(404, 'JOB_NOT_FOUND',
      format('Job %s has the source "%s": ask there.', job_id, job.source));
  end if;
  return job;
end $$;

-- Calls that change several jobs lock all of them first, in the order of their ids, so that no two wait for each other
-- (40P01): children are cancelled with their job, dependents fail with theirs, and either may have the smaller id.

-- Locks the jobs, and those that change with them: jobs that wait for them and, `with_children`, children; and so on.
create or replace function ourvidz.lock_with_followers(job_ids uuid[], with_children boolean)
returns void language plpgsql set search_path = '' as $$
declare
  followed uuid[];
begin
  with recursive family (id) as (
    select given.id from unnest(job_ids) as given (id)
    union
    select follower.id
      from family cross join lateral (
        select jobs.id from ourvidz.jobs where with_children and jobs.parent_job_id = family.id
        union all
        select jobs.id from ourvidz.jobs where jobs.waits_for > 0 and jobs.depends_on @> array[family.id]) as follower)
  select array_agg(family.id) into followed from family;
  perform from ourvidz.jobs where jobs.id = any (followed) order by jobs.id for update;
end $$;

-- Calls that take jobs and those that sweep wait for nobody while they hold what somebody may wait for: a job whose end
-- changes others ends when all of these are free, else at the next call. A settling call locks what it changes, and no more.

-- Locks the job and those that change with its end, `with_children` also children, as far as nobody else has them. False when
-- somebody has one of them: then nothing of the family is to be changed.
create or replace function ourvidz.lock_free_family(job_id uuid, with_children boolean)
returns boolean language plpgsql set search_path = '' as $$
declare
  family uuid[];
  locked bigint;
begin
  with recursive followed (id) as (
    select job_id
    union
    select follower.id
      from followed cross join lateral (
        select jobs.id from ourvidz.jobs where with_children and jobs.parent_job_id = followed.id
        union all
        select jobs.id from ourvidz.jobs where jobs.waits_for > 0 and jobs.depends_on @> array[followed.id]) as follower)
  select array_agg(followed.id) into family from followed;
  select count(*) into locked
    from (select from ourvidz.jobs where jobs.id = any (family) for update skip locked) as free;
  return locked = cardinality(family);
end $$;

-- Locks what this settling call changes, in the order of ids: a failure and a cancel fail all that wait for the job, a
-- completion counts at those that wait for it itself, and what goes back to the queue changes alone.
create or replace function ourvidz.lock_to_settle(job_id uuid, call text)
returns void language plpgsql set search_path = '' as $$
begin
  if call in ('retry', 'release') then
    perform from ourvidz.jobs where id = job_id and cancel_requested_at is null for update;
    if found then
      return;
    end if;
  elsif call = 'complete' then
    perform from ourvidz.jobs
      where id = job_id or (waits_for > 0 and depends_on @> array[job_id]) order by id for update;
    return;
  end if;
  perform ourvidz.lock_with_followers(array[job_id], false);
end $$;
