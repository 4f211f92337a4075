-- What a job that makes text has made is part of its result, beside assets and metadata: result ->> 'text'.

create or replace function ourvidz.end_by_callback(job public.jobs, callback jsonb)
returns public.jobs language plpgsql set search_path = '' as $$
declare
  said constant jsonb := coalesce(callback -> 'metadata', '{}');
  assets constant jsonb := coalesce(callback -> 'assets', '[]');
  ending constant public.job_status := callback ->> 'status';
  made text;
begin
  if ending = 'completed' then
    select content_type into made from public.job_types where type = job.type;
    if made in ('image', 'video') and jsonb_array_length(assets) = 0 then
      perform ourvidz.refuse(422, 'NO_ASSETS',
        format('A completed job of the type %s made at least one %s: assets must not be empty.', job.type, made));
    end if;
    perform ourvidz.write_assets(job, assets, true);
  end if;
  job := ourvidz.end_job(job, ending,
    case ending when 'completed' then jsonb_strip_nulls(
      jsonb_build_object('text', callback ->> 'text')) || jsonb_build_object('assets', assets, 'metadata', said) end,
    case ending when 'failed' then jsonb_build_object(
      'code', coalesce(said ->> 'error_type', 'INTERNAL'),
      'message', coalesce(callback ->> 'error_message', 'The container did not say why.')) end);
  update public.jobs
     set metadata = said, generation_seconds = ourvidz.to_number(said -> 'generation_time'),
         enhanced_prompt = coalesce(callback ->> 'enhanced_prompt', said ->> 'enhanced_prompt', enhanced_prompt)
   where id = job.id;
  perform ourvidz.write_usage(job, coalesce(ourvidz.to_number(said -> 'generation_time'),
                                            extract(epoch from job.settled_at - job.started_at)));
  return job;
end $$;
