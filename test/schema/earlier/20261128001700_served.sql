-- What waits in vain says whether any container runs its worker at all, or those that do lack its type or model.

create or replace function ourvidz.is_served(worker_name text)
returns boolean language sql stable set search_path = '' as $$
  select exists (
    select from public.offers where offers.worker = worker_name and offers.expires_at > (select ourvidz.clock()))
$$;

-- Due jobs of a worker whose need no container offers: [{"type", "model", "served", "jobs", "oldest_seconds"}, …], of
-- the 1,000 that would go first.
create or replace function ourvidz.unoffered(worker_name text, now_at timestamptz)
returns jsonb language sql stable set search_path = '' as $$
  select coalesce(jsonb_agg(jsonb_build_object(
           'type', need.type, 'model', need.model, 'served', ourvidz.is_served(worker_name), 'jobs', need.jobs,
           'oldest_seconds', round(extract(epoch from now_at - need.since)::numeric, 3)) order by need.since), '[]')
    from (
      select type, model_variant as model, count(*) as jobs, min(available_at) as since
        from (select jobs.type, jobs.model_variant, jobs.available_at from public.jobs
               where worker = worker_name and status = 'queued' and source = 'supabase' and waits_for = 0
                 and available_at <= now_at
               order by priority desc, sequence limit 1000) as first
       group by type, model_variant) as need
   where not ourvidz.is_offered(worker_name, need.type, need.model)
$$;

create or replace function ourvidz.record_of(job public.jobs)
returns jsonb language sql stable set search_path = '' as $$
  select jsonb_build_object(
    'sequence', job.sequence, 'job', job.element, 'worker', job.worker, 'queue', job.queue, 'source', job.source,
    'status', job.status, 'run', job.run, 'attempt', job.attempt,
    'cancel_requested', job.cancel_requested_at is not null,
    'progress', job.progress, 'waits_for', job.waits_for, 'depends_on', to_jsonb(job.depends_on),
    'waiting_for', case when job.status = 'queued' and job.source = 'supabase'
                         and not ourvidz.is_offered(job.worker, job.type, job.model_variant)
                        then jsonb_build_object('type', job.type, 'model', job.model_variant,
                                                'served', ourvidz.is_served(job.worker)) end,
    'parent_job_id', job.parent_job_id, 'created_at_ms', ourvidz.ms(job.created_at),
    'available_at_ms', ourvidz.ms(job.available_at), 'expires_at_ms', ourvidz.ms(job.expires_at),
    'started_at_ms', ourvidz.ms(job.started_at),
    'settled_at_ms', ourvidz.ms(job.settled_at), 'delivery', job.delivery, 'result', job.result, 'error', job.error,
    'attempts', coalesce((
      select jsonb_agg(jsonb_build_object(
               'attempt', attempts.attempt, 'worker_id', attempts.worker_id,
               'started_at_ms', ourvidz.ms(attempts.started_at), 'ended_at_ms', ourvidz.ms(attempts.ended_at),
               'outcome', attempts.outcome, 'error', attempts.error,
               'reason', attempts.release_reason) order by attempts.sequence)
        from public.job_attempts as attempts where attempts.job_id = job.id), '[]'))
$$;
