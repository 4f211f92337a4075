-- What a container that waits asks from time to time, cheap when there is nothing.

-- Jobs of these workers that could be claimed now, as keys that are new for each time that a job becomes due: whoever
-- finds a key that was not there before has something to claim. Leases that ran out are among them, the caller's own
-- are not. More than 20 are not told.
--
-- Returns {"now_ms", "due": [key, …], "next_ms": when the next delay ends or the next lease runs out, or null}
create or replace function public.due_jobs(workers text[], held_tokens text[] default '{}')
returns jsonb language sql stable security definer set search_path = '' as $$
  with clock as (select ourvidz.clock() as now_at),
  waiting as (
    select sequence, available_at as at from public.jobs
     where worker = any (workers) and status = 'queued' and source = 'supabase' and waits_for = 0
    union all
    select sequence, lease_expires_at from public.jobs
     where worker = any (workers) and status = 'running' and lease_expires_at is not null
       and lease_token <> all (held_tokens)),
  due as (
    select sequence || ':' || ourvidz.ms(waiting.at) as key
      from waiting, clock where waiting.at <= now_at order by waiting.at desc limit 20)
  select jsonb_build_object(
    'now_ms', ourvidz.ms(now_at),
    'due', (select coalesce(jsonb_agg(key), '[]') from due),
    'next_ms', (select ourvidz.ms(min(waiting.at)) from waiting where waiting.at > now_at))
  from clock
$$;

revoke all on function public.due_jobs(text[], text[]) from public, anon, authenticated;
grant execute on function public.due_jobs(text[], text[]) to service_role;

-- Which of these tokens have lost their job, or had its cancel asked.
create or replace function public.changed_leases(tokens text[])
returns jsonb language sql stable security definer set search_path = '' as $$
  select coalesce(jsonb_agg(held.token), '[]')
    from unnest(tokens) as held (token)
   where not exists (
     select from public.job_attempts as attempts join public.jobs on jobs.id = attempts.job_id
      where attempts.token = held.token and jobs.lease_token = held.token and jobs.cancel_requested_at is null)
$$;

revoke all on function public.changed_leases(text[]) from public, anon, authenticated;
grant execute on function public.changed_leases(text[]) to service_role;
