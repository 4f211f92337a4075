-- Files that users upload for their jobs: `inputs/{user}/inputs/{file}`. Containers store them with the service key; browsers
-- store them at addresses that the function create-upload has signed.
--
-- A bucket that is there already is left as it is: a deployment may have set its own limits.

insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types)
values ('inputs', 'inputs', false, 1073741824,
  array['image/png', 'image/jpeg', 'image/webp', 'image/gif', 'video/mp4', 'video/quicktime', 'video/webm',
        'application/vnd.safetensors'])
on conflict (id) do nothing;

drop policy if exists "users read the files that they have uploaded" on storage.objects;
create policy "users read the files that they have uploaded" on storage.objects
  for select to authenticated
  using (bucket_id = 'inputs' and (storage.foldername(name))[1] = (select auth.uid())::text);

drop policy if exists "users delete the files that they have uploaded" on storage.objects;
create policy "users delete the files that they have uploaded" on storage.objects
  for delete to authenticated
  using (bucket_id = 'inputs' and (storage.foldername(name))[1] = (select auth.uid())::text);
