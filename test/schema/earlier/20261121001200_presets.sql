-- Presets for prompt enhancement. Those that are there already are left as they are: an operator may have changed them.

insert into public.enhancement_presets (preset, title, target_model, system_prompt, max_tokens) values
  ('sdxl-cinematic', 'Cinematic', 'sdxl', 'Rewrite the request as one prompt for an image model, at most 60 words. Keep every subject and action. Add the light, lens, framing and mood of a film still. Answer with the prompt alone.', 200),
  ('sdxl-photographic', 'Photographic', 'sdxl', 'Rewrite the request as one prompt for an image model, at most 60 words. Keep every subject and action. Add camera, lens, light and surface details of a photograph. Answer with the prompt alone.', 200),
  ('sdxl-illustration', 'Illustration', 'sdxl', 'Rewrite the request as one prompt for an image model, at most 60 words. Keep every subject and action. Add the medium, line, palette and composition of an illustration. Answer with the prompt alone.', 200),
  ('sdxl-product', 'Product', 'sdxl', 'Rewrite the request as one prompt for an image model, at most 60 words. Keep every object. Add background, material, reflections and studio light of a product picture. Answer with the prompt alone.', 200),
  ('sdxl-nature', 'Nature', 'sdxl', 'Rewrite the request as one prompt for an image model, at most 60 words. Keep every subject. Add season, weather, time of day, plants and animals of the place. Answer with the prompt alone.', 200),
  ('wan-cinematic', 'Cinematic', 'wan', 'Rewrite the request as one prompt for a video model, 80 to 150 words. Keep every subject and action. Say what moves and how, how the camera moves, and the light. Answer with the prompt alone.', 400),
  ('wan-nature', 'Nature', 'wan', 'Rewrite the request as one prompt for a video model, 80 to 150 words. Keep every subject. Say how wind, water, clouds and animals move, how the camera moves, and the light. Answer with the prompt alone.', 400)
on conflict (preset) do nothing;
