-- Pages of jobs that are bounded in bytes: a job may have a megabyte, and a page two hundred of them.

-- Newest first. With `max_bytes` in the filter, what one page holds ends there, though never before its first job; the last
-- record then says `more` when there is a next page. Without it one record more than the limit says so, as before.
create or replace function public.list_jobs(filter jsonb default '{}')
returns jsonb language plpgsql stable security definer set search_path = '' as $$
declare
  wanted_status constant public.job_status := filter ->> 'status';
  wanted_type constant text := filter ->> 'type';
  wanted_source constant text := filter ->> 'source';
  wanted_worker constant text := filter ->> 'worker';
  everybody constant boolean := filter ->> 'user_id' is null;
  wanted_user constant uuid := ourvidz.to_uuid(filter ->> 'user_id');
  before constant bigint := coalesce((filter ->> 'before')::bigint, 9223372036854775807);
  max_jobs constant integer := least(greatest(coalesce((filter ->> 'limit')::integer, 50), 1), 1000);
  max_bytes constant bigint := (filter ->> 'max_bytes')::bigint;
  job public.jobs;
  record jsonb;
  page jsonb[] := '{}';
  bytes bigint := 0;
begin
  -- A name that is no UUID is nobody's, except the one that stands for jobs of nobody.
  if not everybody and wanted_user is null and filter ->> 'user_id' <> 'anonymous' then
    return '[]';
  end if;
  for job in
    select * from public.jobs
     where sequence < before
       and (wanted_status is null or status = wanted_status)
       and (wanted_type is null or type = wanted_type)
       and (wanted_source is null or source = wanted_source)
       and (wanted_worker is null or worker = wanted_worker)
       and (everybody or user_id is not distinct from wanted_user)
     order by sequence desc limit max_jobs + 1
  loop
    record := ourvidz.record_of(job);
    if max_bytes is not null then
      bytes := bytes + octet_length(record::text);
      if cardinality(page) = max_jobs or (cardinality(page) > 0 and bytes > max_bytes) then
        page[cardinality(page)] := page[cardinality(page)] || '{"more": true}';
        exit;
      end if;
    end if;
    page := page || record;
  end loop;
  return to_jsonb(page);
end $$;

revoke all on function public.list_jobs(jsonb) from public, anon, authenticated;
grant execute on function public.list_jobs(jsonb) to service_role;
