-- ---- offers

-- Whether any container offers what this job needs.
create or replace function ourvidz.is_offered(worker_name text, type text, model text)
returns boolean language sql stable set search_path = '' as $$
  select exists (
    select from ourvidz.offers
     where offers.worker = worker_name and offers.expires_at > (select ourvidz.clock())
       and is_offered.type = any (offers.types)
       and case when model is null then is_offered.type = any (offers.default_model_types)
                else model = any (offers.models) end)
$$;

create or replace function ourvidz.texts(list jsonb)
returns text[] language sql immutable set search_path = '' as $$
  select coalesce(array_agg(value), '{}')
    from jsonb_array_elements_text(case when jsonb_typeof(list) = 'array' then list else '[]' end)
$$;

-- What this container offers from now on, for `ttl_seconds`: what it offered before is forgotten. Returns for how many
-- workers.
--
--   offers  [{"worker", "types", "default_model_types", "models"}, …]; empty when it stops
create or replace function public.announce_offers(
  worker_id text, offers jsonb, ttl_seconds double precision default 300)
returns integer language plpgsql security definer set search_path = '' as $$
declare
  now_at constant timestamptz := ourvidz.clock();
begin
  if ttl_seconds is null or ttl_seconds not between 1 and 86400 then
    perform ourvidz.refuse(400, 'INVALID_REQUEST', 'ttl_seconds must be a number from 1 to 86400.');
  end if;
  delete from ourvidz.offers as old
   where old.worker_id = announce_offers.worker_id
     and old.worker not in (select value ->> 'worker' from jsonb_array_elements(announce_offers.offers));
  insert into ourvidz.offers as known (worker_id, worker, types, default_model_types, models, expires_at)
  select announce_offers.worker_id, value ->> 'worker', ourvidz.texts(value -> 'types'),
         ourvidz.texts(value -> 'default_model_types'), ourvidz.texts(value -> 'models'),
         now_at + ourvidz.seconds(ttl_seconds)
    from jsonb_array_elements(announce_offers.offers)
  on conflict on constraint offers_pkey do update
    set types = excluded.types, default_model_types = excluded.default_model_types, models = excluded.models,
        expires_at = excluded.expires_at;
  -- Of containers that are gone; one that another call is busy with is left to the next one.
  delete from ourvidz.offers as old using (
    select gone.worker_id, gone.worker from ourvidz.offers as gone where gone.expires_at <= now_at for update skip locked) as gone
   where old.worker_id = gone.worker_id and old.worker = gone.worker;
  return jsonb_array_length(offers);
end $$;

revoke all on function public.announce_offers(text, jsonb, double precision) from public, anon, authenticated;
grant execute on function public.announce_offers(text, jsonb, double precision) to service_role;

-- What waits in vain says whether any container runs its worker at all, or those that do lack its type or model.

create or replace function ourvidz.is_served(worker_name text)
returns boolean language sql stable set search_path = '' as $$
  select exists (
    select from ourvidz.offers where offers.worker = worker_name and offers.expires_at > (select ourvidz.clock()))
$$;

-- What a queued job of the source "supabase" needs and no container offers: {"type", "model", "served"}; null otherwise.
create or replace function ourvidz.waiting_for(job ourvidz.jobs)
returns jsonb language sql stable set search_path = '' as $$
  select case when job.status = 'queued' and job.source = 'supabase'
               and not ourvidz.is_offered(job.worker, job.type, job.model_variant)
              then jsonb_build_object('type', job.type, 'model', job.model_variant,
                                      'served', ourvidz.is_served(job.worker)) end
$$;
