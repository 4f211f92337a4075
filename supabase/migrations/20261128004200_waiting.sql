-- What there could be to take for these workers now, as keys that are new for each time that something becomes due:
-- whoever finds a key that was not there before has something to take. Leases that ran out, jobs that waited too long and
-- ends that nobody reports are among them, the caller's own leases are not. Of more than 20 of a kind, the newest are named.
--
-- Returns {"now_ms", "due": [key, …], "next_ms": when the next delay, lease, limit or claim of an end is over, or null}
create or replace function public.due_jobs(workers text[], held_tokens text[] default '{}')
returns jsonb language sql stable security definer set search_path = '' as $$
  with clock as materialized (select ourvidz.clock() as now_at),
  due as (
    select 'job:' || waiting.sequence as name, waiting.available_at as at from unnest(workers) as named (worker)
     cross join lateral (
       select jobs.sequence, jobs.available_at from ourvidz.jobs
        where jobs.worker = named.worker and status = 'queued' and source = 'supabase' and waits_for = 0
          and available_at <= (select now_at from clock)
        order by available_at desc limit 20) as waiting
    union all
    (select 'lease:' || sequence, lease_expires_at from ourvidz.jobs
      where worker = any (workers) and lease_expires_at <= (select now_at from clock)
        and lease_token <> all (held_tokens)
      order by lease_expires_at desc limit 20)
    union all
    (select 'overdue:' || sequence, expires_at from ourvidz.jobs
      where status = 'queued' and source = 'supabase' and expires_at <= (select now_at from clock)
      order by expires_at desc limit 20)
    union all
    (select 'end:' || job_id, free_at from ourvidz.job_ends
      where free_at <= (select now_at from clock)
      order by free_at desc limit 20)),
  upcoming as (
    select min(waiting.at) as at from unnest(workers) as named (worker)
     cross join lateral (
       select min(available_at) as at from ourvidz.jobs
        where jobs.worker = named.worker and status = 'queued' and source = 'supabase' and waits_for = 0
          and available_at > (select now_at from clock)) as waiting
    union all
    select min(lease_expires_at) from ourvidz.jobs
     where worker = any (workers) and lease_expires_at > (select now_at from clock)
       and lease_token <> all (held_tokens)
    union all
    select min(expires_at) from ourvidz.jobs
     where status = 'queued' and source = 'supabase' and expires_at > (select now_at from clock)
    union all
    select min(free_at) from ourvidz.job_ends where free_at > (select now_at from clock))
  select jsonb_build_object(
    'now_ms', ourvidz.ms(now_at),
    'due', (select coalesce(jsonb_agg(due.name || ':' || ourvidz.ms(due.at)), '[]') from due),
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
     select from ourvidz.job_attempts as attempts join ourvidz.jobs on jobs.id = attempts.job_id
      where attempts.token = held.token and jobs.lease_token = held.token and jobs.cancel_requested_at is null)
$$;

revoke all on function public.changed_leases(text[]) from public, anon, authenticated;
grant execute on function public.changed_leases(text[]) to service_role;
