-- The presets of the first version, by the MD5 of their system prompts: rows that nobody has changed since are replaced.

delete from ourvidz.enhancement_presets where (preset, md5(system_prompt)) in (values
  ('sdxl-cinematic', '7d2f6ed11e7941224680a36b0e6b5948'),
  ('sdxl-photographic', '1f79fa539be3411dcb6925335417f68b'),
  ('sdxl-illustration', '133658da315c70e2cb44b602123339fc'),
  ('sdxl-product', 'c12b2dc5d422554c12702afc40819360'),
  ('sdxl-nature', 'c4d56afef34517a342a2fdecac55a591'),
  ('wan-cinematic', '9eb28ee139d9b4915ecd8a1c10d0aafd'),
  ('wan-nature', 'c4fc738d2bca717ac83878b1b70b6d00')
);
