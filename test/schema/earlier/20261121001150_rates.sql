-- How often a user asks for what leaves no row of its own, such as the enhancement of a prompt. One row for each user and
-- kind of request, with the count of the newest minute.

create table if not exists public.request_rates (
  user_id uuid        not null references auth.users (id) on delete cascade,
  kind    text        not null check (kind ~ '^[a-z0-9-]{1,64}$'),
  minute  timestamptz not null,
  asked   integer     not null check (asked > 0),
  primary key (user_id, kind)
);

alter table public.request_rates enable row level security;
revoke all on public.request_rates from public, anon, authenticated;
grant select, insert, update, delete on public.request_rates to service_role;

-- Counts a request, and refuses it when the user has had as many within this minute. Returns how many it are.
create or replace function public.count_request(user_id uuid, kind text, per_minute integer)
returns integer language plpgsql security definer set search_path = '' as $$
declare
  counted integer;
begin
  insert into public.request_rates as rates (user_id, kind, minute, asked)
  values (count_request.user_id, count_request.kind, date_trunc('minute', ourvidz.clock()), 1)
  on conflict on constraint request_rates_pkey do update
    set asked = case when rates.minute = excluded.minute then rates.asked + 1 else 1 end, minute = excluded.minute
  returning rates.asked into counted;
  if counted > per_minute then
    perform ourvidz.refuse(429, 'TOO_MANY_REQUESTS',
      format('At most %s requests of this kind may be made in a minute: try again in the next one.', per_minute));
  end if;
  return counted;
end $$;

revoke all on function public.count_request(uuid, text, integer) from public, anon, authenticated;
grant execute on function public.count_request(uuid, text, integer) to service_role;
