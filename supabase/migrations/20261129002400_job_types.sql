-- Written by tools/supabase/job-types-sql.ts from supabase/functions/_shared/job-types.ts: do not edit.

insert into ourvidz.job_types (type, worker, content_type, file_extension, expected_seconds, bucket) values
  ('sdxl_image_fast', 'sdxl', 'image', 'png', 30, 'sdxl_image_fast'),
  ('sdxl_image_high', 'sdxl', 'image', 'png', 42, 'sdxl_image_high'),
  ('sdxl_generate', 'sdxl', 'image', 'png', null, 'sdxl_generate'),
  ('image_fast', 'wan', 'image', 'png', 40, 'image_fast'),
  ('image_high', 'wan', 'image', 'png', 100, 'image_high'),
  ('video_fast', 'wan', 'video', 'mp4', 180, 'video_fast'),
  ('video_high', 'wan', 'video', 'mp4', 240, 'video_high'),
  ('image7b_fast_enhanced', 'wan', 'image', 'png', 100, 'image7b_fast_enhanced'),
  ('image7b_high_enhanced', 'wan', 'image', 'png', 240, 'image7b_high_enhanced'),
  ('video7b_fast_enhanced', 'wan', 'video', 'mp4', 240, 'video7b_fast_enhanced'),
  ('video7b_high_enhanced', 'wan', 'video', 'mp4', 240, 'video7b_high_enhanced'),
  ('wan_generate', 'wan', 'video', 'mp4', null, 'wan_generate'),
  ('t2v', 'wan', 'video', 'mp4', null, 't2v'),
  ('t2v_22', 'wan', 'video', 'mp4', null, 't2v_22'),
  ('generate_video', 'wan', 'video', 'mp4', null, 'generate_video'),
  ('i2v', 'wan', 'video', 'mp4', null, 'i2v'),
  ('i2v_22', 'wan', 'video', 'mp4', null, 'i2v_22'),
  ('flf2v', 'wan', 'video', 'mp4', null, 'flf2v'),
  ('vace', 'wan', 'video', 'mp4', null, 'vace'),
  ('vace_21', 'wan', 'video', 'mp4', null, 'vace_21'),
  ('vace_22', 'wan', 'video', 'mp4', null, 'vace_22'),
  ('wan_2_2_t2i', 'wan', 'image', 'png', null, 'wan_2_2_t2i'),
  ('enhance_base', 'chat', 'text', 'txt', null, 'enhance_base'),
  ('enhance_instruct', 'chat', 'text', 'txt', null, 'enhance_instruct'),
  ('chat', 'chat', 'text', 'txt', null, 'chat')
on conflict (type) do update
  set worker = excluded.worker, content_type = excluded.content_type, file_extension = excluded.file_extension,
      expected_seconds = excluded.expected_seconds;
