-- Changes of many jobs: finding them by a filter, cancelling and forgetting them, and failed jobs in groups.

-- The code of a failed job's error; one without a code counts as INTERNAL.
create or replace function ourvidz.code_of(error jsonb)
returns text language sql immutable set search_path = '' as $$
  select coalesce(error ->> 'code', 'INTERNAL')
$$;

create index if not exists jobs_failed on ourvidz.jobs (ourvidz.code_of(error), sequence) where status = 'failed';

-- The next jobs of one state that a filter matches, newest first.
--
--   filter  {"status", "worker", "type", "user_id" ("anonymous" for jobs of nobody), "code" of a failed job's error,
--            "created_before_ms", "source", "limit": 1 to 1000, "before": the sequence below which the page begins}
--
-- Returns {"jobs": [{"job_id", "status", "error"}, …], "last"}: `last` is the sequence of the last job that was looked at,
-- null when there are no more. So many are looked at as `limit` says, matching or not.
create or replace function public.match_jobs(filter jsonb)
returns jsonb language plpgsql stable security definer set search_path = '' as $$
declare
  wanted_status constant ourvidz.job_status := filter ->> 'status';
  wanted_type constant text := filter ->> 'type';
  wanted_worker constant text := filter ->> 'worker';
  wanted_source constant text := filter ->> 'source';
  wanted_code constant text := filter ->> 'code';
  created_before_ms constant bigint := ourvidz.to_number(filter -> 'created_before_ms');
  everybody constant boolean := filter ->> 'user_id' is null;
  wanted_user constant uuid := ourvidz.to_uuid(filter ->> 'user_id');
  before constant bigint := coalesce((filter ->> 'before')::bigint, 9223372036854775807);
  most constant integer := least(greatest(coalesce((filter ->> 'limit')::integer, 50), 1), 1000);
  answer jsonb;
begin
  if not everybody and wanted_user is null and filter ->> 'user_id' <> 'anonymous' then
    return '{"jobs": [], "last": null}';
  end if;
  with page as (
    -- Two texts, so that each finds its index.
    (select * from ourvidz.jobs
      where wanted_code is null and status = wanted_status and sequence < before
      order by sequence desc limit most)
    union all
    (select * from ourvidz.jobs
      where wanted_code is not null and wanted_status = 'failed' and status = 'failed'
        and ourvidz.code_of(error) = wanted_code and sequence < before
      order by sequence desc limit most))
  select jsonb_build_object(
           'jobs', coalesce(jsonb_agg(jsonb_build_object(
             'job_id', page.id, 'status', page.status,
             'error', case when page.status = 'failed'
                           then page.error - 'details' end) order by page.sequence desc) filter (
             where (wanted_type is null or type = wanted_type)
               and (wanted_source is null or source = wanted_source)
               and (wanted_worker is null or worker = wanted_worker)
               and (created_before_ms is null or ourvidz.ms(created_at) < created_before_ms)
               and (everybody or user_id is not distinct from wanted_user)), '[]'),
           'last', case when count(*) = most then min(page.sequence) end)
    into answer from page;
  return answer;
end $$;

revoke all on function public.match_jobs(jsonb) from public, anon, authenticated;
grant execute on function public.match_jobs(jsonb) to service_role;

-- Cancels jobs as request_cancel does. Returns what each became, in order: "cancelled", "requested", "settled" (there was
-- nothing to cancel) or "missing".
create or replace function public.cancel_jobs(job_ids uuid[], only_source text default null, request text default null)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  outcomes jsonb := '{}';
  each uuid;
begin
  perform ourvidz.lock_with_followers(job_ids, true);
  for each in select distinct id from unnest(job_ids) as id order by id loop
    begin
      outcomes := outcomes || jsonb_build_object(
        each, public.request_cancel(each, only_source, request) ->> 'outcome');
    exception
      when sqlstate 'PT404' then outcomes := outcomes || jsonb_build_object(each, 'missing');
      when sqlstate 'PT409' then outcomes := outcomes || jsonb_build_object(each, 'settled');
    end;
  end loop;
  return coalesce((select jsonb_agg(outcomes ->> id::text order by place)
                     from unnest(job_ids) with ordinality as given (id, place)), '[]');
end $$;

revoke all on function public.cancel_jobs(uuid[], text, text) from public, anon, authenticated;
grant execute on function public.cancel_jobs(uuid[], text, text) to service_role;

-- Deletes jobs that have ended, with their attempts, keys and rows of assets; what they cost stays in `usage`, and their
-- files are the caller's matter. Returns what became of each, in order: "discarded", "missing", "unreported" (its final
-- callback is not with any container yet), or the state of one that has not ended.
create or replace function public.discard_jobs(job_ids uuid[], only_source text default null)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  outcomes jsonb := '{}';
  job record;
begin
  perform ourvidz.lock_with_followers(job_ids, true);
  for job in
    select jobs.id, jobs.status, exists (select from ourvidz.job_ends as ends where ends.job_id = jobs.id) as is_open
      from ourvidz.jobs
     where jobs.id = any (job_ids) and (only_source is null or jobs.source = only_source)
     order by jobs.id for update
  loop
    if not ourvidz.is_settled(job.status) then
      outcomes := outcomes || jsonb_build_object(job.id, job.status);
    elsif job.is_open then
      outcomes := outcomes || jsonb_build_object(job.id, 'unreported');
    else
      delete from ourvidz.jobs where jobs.id = job.id;
      outcomes := outcomes || jsonb_build_object(job.id, 'discarded');
    end if;
  end loop;
  return coalesce((select jsonb_agg(coalesce(outcomes ->> id::text, 'missing') order by place)
                     from unnest(job_ids) with ordinality as given (id, place)), '[]');
end $$;

revoke all on function public.discard_jobs(uuid[], text) from public, anon, authenticated;
grant execute on function public.discard_jobs(uuid[], text) to service_role;

-- Failed jobs by worker, code and type, the group in which a job failed last first; at most `most`.
--
-- Returns [{"worker", "code", "type", "jobs", "permanent", "last_at_ms", "newest_id", "newest_message"}, …], where
-- `permanent` is how many would fail again.
create or replace function public.failure_groups(only_source text default null, most integer default 200)
returns jsonb language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object(
           'worker', counted.worker, 'code', counted.code, 'type', counted.type, 'jobs', counted.jobs,
           'permanent', counted.permanent, 'last_at_ms', ourvidz.ms(counted.last_at), 'newest_id', newest.id,
           'newest_message', coalesce(newest.error ->> 'message', '')) order by counted.last_at desc), '[]')
    from (select worker, failure_code as code, type, count(*) as jobs,
                 count(*) filter (where failure_permanent) as permanent, max(settled_at) as last_at,
                 max(sequence) as newest
            from ourvidz.jobs
           where status = 'failed' and (only_source is null or source = only_source)
           group by worker, failure_code, type order by last_at desc limit least(greatest(most, 1), 1000)) as counted
    join ourvidz.jobs as newest on newest.sequence = counted.newest
$$;

revoke all on function public.failure_groups(text, integer) from public, anon, authenticated;
grant execute on function public.failure_groups(text, integer) to service_role;
