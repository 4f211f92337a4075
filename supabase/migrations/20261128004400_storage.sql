-- One private bucket for each job type, with the kinds of files that it makes. Thumbnails lie beside their files.
--
-- A bucket that is there already is left as it is: a deployment may have set its own limits.

create or replace function ourvidz.make_bucket()
returns trigger language plpgsql security definer set search_path = '' as $$
begin
  insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types)
  values (new.bucket, new.bucket, false,
    case new.content_type when 'image' then 52428800 when 'text' then 1048576 else 1073741824 end,
    case new.content_type
      when 'image' then array['image/png', 'image/jpeg', 'image/webp']
      -- One frame of a video model is an image.
      when 'video' then array['video/mp4', 'video/webm', 'image/png', 'image/jpeg', 'image/webp']
      when 'text' then array['text/plain', 'text/markdown', 'application/json'] end)
  on conflict (id) do nothing;
  return null;
end $$;

drop trigger if exists make_bucket on ourvidz.job_types;
create trigger make_bucket after insert or update of bucket, content_type on ourvidz.job_types
  for each row execute function ourvidz.make_bucket();

-- Rows that were there before the trigger.
update ourvidz.job_types set bucket = bucket;

-- `{user}/{job}/{file}`: the first folder is the owner. The app signs URLs as its user, or as the service.
drop policy if exists "users read the files of their own jobs" on storage.objects;
create policy "users read the files of their own jobs" on storage.objects
  for select to authenticated
  using (bucket_id in (select job_types.bucket from ourvidz.job_types)
         and (storage.foldername(name))[1] = (select auth.uid())::text);
