-- What a container that waits asks from time to time, cheap when there is nothing.

-- Jobs of these workers that could be claimed now, as keys that are new for each time that a job becomes due: whoever
-- finds a key that was not there before has something to claim. Leases that ran out are among them, the caller's own
-- are not. Of more than 20, the newest are told.
--
-- Returns {"now_ms", "due": [key, …], "next_ms": when the next delay ends or the next lease runs out, or null}
create or replace function public.due_jobs(workers text[], held_tokens text[] default '{}')
returns jsonb language sql stable security definer set search_path = '' as $$
  with clock as materialized (select ourvidz.clock() as now_at),
  due as (
    (select sequence, available_at as at from public.jobs
      where worker = any (workers) and status = 'queued' and source = 'supabase' and waits_for = 0
        and available_at <= (select now_at from clock)
      order by available_at desc limit 20)
    union all
    (select sequence, lease_expires_at from public.jobs
      where worker = any (workers) and lease_expires_at <= (select now_at from clock)
        and lease_token <> all (held_tokens)
      order by lease_expires_at desc limit 20)),
  upcoming as (
    select min(available_at) as at from public.jobs
     where worker = any (workers) and status = 'queued' and source = 'supabase' and waits_for = 0
       and available_at > (select now_at from clock)
    union all
    select min(lease_expires_at) from public.jobs
     where worker = any (workers) and lease_expires_at > (select now_at from clock)
       and lease_token <> all (held_tokens))
  select jsonb_build_object(
    'now_ms', ourvidz.ms(now_at),
    'due', (select coalesce(jsonb_agg(sequence || ':' || ourvidz.ms(due.at)), '[]') from due),
    'next_ms', (select ourvidz.ms(min(upcoming.at)) from upcoming))
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
