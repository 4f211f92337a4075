-- The tables have a schema of their own, `ourvidz`: an app's `jobs` or `assets` in `public` are its own matter.
--
-- In an empty project this only looks whether the few names that the REST API needs in `public` are free, before anything is
-- changed. In a project of an earlier version the tables move, with their rows, policies, triggers and whatever an app has made
-- to refer to them, and the functions follow: all of it in one statement, so that no call finds one without the other. What
-- an app has read so far stays readable, by views of the old names. The files after this one are the whole schema, each
-- statement repeatable: they bring a project of any earlier version to where an empty one arrives.

do $$
declare
  -- Each with a column that a table of the same name of somebody else's would not have.
  tables constant text[] := array[
    'jobs.lease_token', 'job_attempts.ticket', 'assets.thumbnail_path', 'usage.gpu_seconds', 'queue_outbox.next_try_at',
    'idempotency_keys.owner', 'job_types.file_extension', 'workers.detection_method', 'enhancement_presets.system_prompt',
    'request_rates.asked', 'job_ends.free_at', 'offers.default_model_types'];
  functions constant text[] := array[
    'announce_offers', 'append_chat_turn', 'apply_job_callback', 'cancel_jobs', 'changed_leases', 'claim_jobs',
    'count_request', 'discard_jobs', 'due_jobs', 'ends_reported', 'enqueue_job', 'failure_groups', 'find_active_worker',
    'forget_chat_sessions', 'forget_my_chat_sessions', 'get_job', 'list_jobs', 'mark_worker_healthy', 'match_jobs',
    'note_deliveries', 'pause_queue', 'queue_outbox_done', 'queue_outbox_due', 'queue_outbox_failed', 'queue_stats',
    'read_chat_session', 'redrive_job', 'register_worker', 'renew_leases', 'request_cancel', 'set_job_priority',
    'settle_job', 'sweep_chat_sessions', 'sweep_expired', 'system_metrics', 'take_jobs', 'waiting_jobs'];
  views constant text[] := array[
    'ourvidz_jobs', 'ourvidz_assets', 'ourvidz_usage', 'ourvidz_job_types', 'ourvidz_enhancement_presets',
    'ourvidz_chat_sessions'];
  moved_names constant text := '\mpublic\.(jobs|job_attempts|assets|usage|queue_outbox|idempotency_keys|job_types|workers'
    || '|enhancement_presets|request_rates|job_ends|offers|job_status)\M';
  moving text[];
  taken text;
  each text;
  grantee text;
  privilege text;
begin
  select coalesce(array_agg(split_part(place, '.', 1) order by ordinality), '{}') into moving
    from unnest(tables) with ordinality as listed (place, ordinality)
   where exists (
     select from pg_catalog.pg_attribute as columns join pg_catalog.pg_class as owner on owner.oid = columns.attrelid
      where owner.relnamespace = 'public'::regnamespace and owner.relkind = 'r'
        and owner.relname = split_part(place, '.', 1) and columns.attname = split_part(place, '.', 2));
  if to_regclass('ourvidz.jobs') is null and not 'jobs' = any (moving) then
    select string_agg(name, ', ' order by name) into taken from (
      select 'the function ' || oid::regprocedure::text as name from pg_catalog.pg_proc
       where pronamespace = 'public'::regnamespace and proname = any (functions)
      union all
      select 'the table ' || relname from pg_catalog.pg_class
       where relnamespace = 'public'::regnamespace and relname = any (views)) as names;
    if taken is not null then
      raise exception using errcode = 'PT409', hint = 'NAME_TAKEN', message = format(
        'This project has %s in the schema public already, which OurVidz needs: rename it and push again. Nothing was changed.',
        taken);
    end if;
    return;
  end if;
  if to_regclass('ourvidz.jobs') is not null or cardinality(moving) = 0 then
    return;
  end if;

  -- Whoever uses a table now goes first; who comes meanwhile waits. Most calls begin at the jobs, and so does this.
  perform set_config('lock_timeout', '30s', true);
  foreach each in array moving loop
    execute format('lock table public.%I in access exclusive mode', each);
  end loop;
  alter type public.job_status set schema ourvidz;
  foreach each in array moving loop
    execute format('alter table public.%I set schema ourvidz', each);
    execute format('create view public.%1$I with (security_invoker = true) as select * from ourvidz.%1$I', each);
    execute format('revoke all on public.%I from public, anon, authenticated, service_role', each);
    foreach grantee in array array['anon', 'authenticated', 'service_role'] loop
      foreach privilege in array array['select', 'insert', 'update', 'delete'] loop
        if has_table_privilege(grantee, format('ourvidz.%I', each), privilege) then
          execute format('grant %s on public.%I to %I', privilege, each, grantee);
        end if;
      end loop;
    end loop;
  end loop;
  for each in
    select pg_get_functiondef(oid) from pg_catalog.pg_proc
     where prokind = 'f' and prosrc ~ moved_names
       and (pronamespace = 'ourvidz'::regnamespace
            or pronamespace = 'public'::regnamespace and proname = any (functions))
  loop
    execute regexp_replace(each, moved_names, 'ourvidz.\1', 'g');
  end loop;
end $$;
