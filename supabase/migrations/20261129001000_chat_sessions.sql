-- Sessions of chat: the last turns of a conversation, which belong to one user and expire some time after the last one.
-- Containers read and add turns with the service key; users see their own, and may have them forgotten.

-- The names in `public` are this migration's own as soon as its table is there.
do $$
declare
  functions constant text[] := array[
    'append_chat_turn', 'forget_chat_sessions', 'forget_my_chat_sessions', 'read_chat_session', 'sweep_chat_sessions'];
  views constant text[] := array['ourvidz_chat_sessions'];
  taken text;
begin
  if to_regclass('ourvidz.chat_sessions') is null then
    select string_agg(name, ', ' order by name) into taken from (
      select 'the function ' || oid::regprocedure::text as name from pg_catalog.pg_proc
       where pronamespace = 'public'::regnamespace and proname = any (functions)
      union all
      select 'the table ' || relname from pg_catalog.pg_class
       where relnamespace = 'public'::regnamespace and relname = any (views)) as names;
  end if;
  if taken is not null then
    raise exception using errcode = 'PT409', hint = 'NAME_TAKEN', message = format(
      'This project has %s in the schema public already, which OurVidz needs: rename it and push again. Nothing of this file was changed.',
      taken);
  end if;
end $$;

create table if not exists ourvidz.chat_sessions (
  -- A user's id as text: who has none is "anonymous".
  user_id    text        not null,
  session_id text        not null check (session_id ~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$'),
  -- The oldest first: [{"id", "job_id", "run_id", "prompt", "response", "created_at_ms"}]
  turns      jsonb       not null check (jsonb_typeof(turns) = 'array'),
  expires_at timestamptz not null,
  primary key (user_id, session_id)
);

create index if not exists chat_sessions_by_expiry on ourvidz.chat_sessions (expires_at);

alter table ourvidz.chat_sessions enable row level security;
revoke all on ourvidz.chat_sessions from public, anon, authenticated;
grant select, insert, update, delete on ourvidz.chat_sessions to service_role;
grant select on ourvidz.chat_sessions to authenticated;

drop policy if exists "users read their own sessions" on ourvidz.chat_sessions;
create policy "users read their own sessions" on ourvidz.chat_sessions
  for select to authenticated using (user_id = (select auth.uid())::text and expires_at > now());

create or replace view public.ourvidz_chat_sessions with (security_invoker = true) as
  select user_id, session_id, turns, expires_at from ourvidz.chat_sessions;

revoke all on public.ourvidz_chat_sessions from public, anon, authenticated, service_role;
grant select on public.ourvidz_chat_sessions to authenticated, service_role;

-- A session's turns with one more: as `keptTurns` of runtime/chat-sessions has it.
create or replace function ourvidz.with_turn(turns jsonb, turn jsonb, max_turns integer, max_bytes integer)
returns jsonb language plpgsql immutable set search_path = '' as $$
begin
  if turns @> jsonb_build_array(jsonb_build_object('id', turn -> 'id')) then
    return turns;
  end if;
  return (
    select jsonb_agg(value order by place)
      from (select value, place, count(*) over newest as newer,
                   sum(octet_length(value ->> 'prompt') + octet_length(value ->> 'response')) over newest as bytes
              from jsonb_array_elements(turns || jsonb_build_array(turn)) with ordinality as each (value, place)
             where value -> 'job_id' <> turn -> 'job_id' or value -> 'run_id' = turn -> 'run_id'
            window newest as (order by place desc)) as counted
     where newer <= max_turns and bytes <= max_bytes);
end $$;

-- Removes expired sessions, so many at most, and returns how many. What another transaction is about to do is left to it.
create or replace function ourvidz.sweep_chat_sessions(max_sessions integer)
returns integer language plpgsql set search_path = '' as $$
declare
  swept integer;
begin
  delete from ourvidz.chat_sessions as sessions
   using (select user_id, session_id from ourvidz.chat_sessions
           where expires_at <= ourvidz.clock() order by expires_at limit max_sessions
             for update skip locked) as expired
   where sessions.user_id = expired.user_id and sessions.session_id = expired.session_id;
  get diagnostics swept = row_count;
  return swept;
end $$;

-- ---- for containers

create or replace function public.read_chat_session(user_id text, session_id text)
returns jsonb language sql stable security definer set search_path = '' as $$
  select jsonb_build_object('turns', turns, 'expires_at_ms', ourvidz.ms(expires_at))
    from ourvidz.chat_sessions as sessions
   where sessions.user_id = read_chat_session.user_id and sessions.session_id = read_chat_session.session_id
     and expires_at > ourvidz.clock()
$$;

-- Adds a turn in one step, whoever else adds one to the same session. `limits`: {"keep_seconds", "max_turns", "max_bytes",
-- "max_sessions"}. Of a user's sessions those go that were not used for longest. Returns how many turns there are.
create or replace function public.append_chat_turn(user_id text, session_id text, turn jsonb, limits jsonb)
returns integer language plpgsql security definer set search_path = '' as $$
declare
  now_at constant timestamptz := ourvidz.clock();
  added constant jsonb := turn || jsonb_build_object('created_at_ms', ourvidz.ms(now_at));
  until constant timestamptz := now_at + ourvidz.seconds((limits ->> 'keep_seconds')::double precision);
  max_turns constant integer := limits ->> 'max_turns';
  max_bytes constant integer := limits ->> 'max_bytes';
  kept jsonb;
begin
  insert into ourvidz.chat_sessions as sessions (user_id, session_id, turns, expires_at)
  values (append_chat_turn.user_id, append_chat_turn.session_id,
          ourvidz.with_turn('[]', added, max_turns, max_bytes), until)
  on conflict on constraint chat_sessions_pkey do update
    set turns = ourvidz.with_turn(case when sessions.expires_at > now_at then sessions.turns else '[]' end,
                                  added, max_turns, max_bytes),
        expires_at = excluded.expires_at
  returning sessions.turns into kept;
  if jsonb_array_length(kept) = 1 then
    delete from ourvidz.chat_sessions as sessions
     using (select oldest.session_id from ourvidz.chat_sessions as oldest
             where oldest.user_id = append_chat_turn.user_id
             order by oldest.expires_at desc, oldest.session_id offset (limits ->> 'max_sessions')::integer
               for update skip locked) as surplus
     where sessions.user_id = append_chat_turn.user_id and sessions.session_id = surplus.session_id;
    perform ourvidz.sweep_chat_sessions(100);
  end if;
  return jsonb_array_length(kept);
end $$;

-- Forgets a user's session, or all of them where none is named. Returns how many there were.
create or replace function public.forget_chat_sessions(user_id text, session_id text default null)
returns integer language sql security definer set search_path = '' as $$
  with forgotten as (
    delete from ourvidz.chat_sessions as sessions
     where sessions.user_id = forget_chat_sessions.user_id
       and (forget_chat_sessions.session_id is null or sessions.session_id = forget_chat_sessions.session_id)
    returning expires_at)
  select count(*)::integer from forgotten where expires_at > ourvidz.clock()
$$;

create or replace function public.sweep_chat_sessions(max_sessions integer)
returns integer language sql security definer set search_path = '' as $$
  select ourvidz.sweep_chat_sessions(max_sessions)
$$;

-- ---- for users

-- Forgets the session of the user who is signed in, or all of theirs where none is named. Returns how many there were.
create or replace function public.forget_my_chat_sessions(session_id text default null)
returns integer language plpgsql security definer set search_path = '' as $$
begin
  if auth.uid() is null then
    perform ourvidz.refuse(401, 'UNAUTHORIZED', 'Nobody is signed in: there are no sessions of yours.');
  end if;
  return public.forget_chat_sessions(auth.uid()::text, forget_my_chat_sessions.session_id);
end $$;

do $$
declare
  each text;
begin
  foreach each in array array['read_chat_session(text, text)', 'append_chat_turn(text, text, jsonb, jsonb)',
                              'forget_chat_sessions(text, text)', 'sweep_chat_sessions(integer)'] loop
    execute format('revoke all on function public.%s from public, anon, authenticated', each);
    execute format('grant execute on function public.%s to service_role', each);
  end loop;
end $$;

revoke all on function public.forget_my_chat_sessions(text) from public, anon, authenticated;
grant execute on function public.forget_my_chat_sessions(text) to authenticated, service_role;
