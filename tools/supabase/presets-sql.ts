import { readdirSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { presetFile, presetsOfFile } from "#contract/enhancement-presets.ts";

/** Where the migration lies that brings the shipped presets into the table; those before it are frozen. */
export const presetsMigration = fileURLToPath(
  new URL("../../supabase/migrations/20261128001900_presets.sql", import.meta.url),
);

const folder = new URL("../../supabase/functions/_shared/presets/", import.meta.url);
/** Tokens of the language model, for a preset that does not say. */
const maxTokens = 200;

/** The presets of the first version, by the MD5 of their system prompts: rows that nobody has changed since are replaced. */
const firstOnes = {
  "sdxl-cinematic": "7d2f6ed11e7941224680a36b0e6b5948",
  "sdxl-photographic": "1f79fa539be3411dcb6925335417f68b",
  "sdxl-illustration": "133658da315c70e2cb44b602123339fc",
  "sdxl-product": "c12b2dc5d422554c12702afc40819360",
  "sdxl-nature": "c4d56afef34517a342a2fdecac55a591",
  "wan-cinematic": "9eb28ee139d9b4915ecd8a1c10d0aafd",
  "wan-nature": "c4fc738d2bca717ac83878b1b70b6d00",
};

/** The migration's text, from the presets that are shipped as files. A row that is there is kept: an operator may have changed it. */
export function presetsSql(): string {
  const files = readdirSync(folder).toSorted();
  const presets = files.flatMap((file) =>
    presetsOfFile(presetFile.parse(JSON.parse(readFileSync(new URL(file, folder), "utf8")))),
  );
  const rows = presets.map(({ name, target, system, examples, tokenLimit, sampling }) => {
    const { max_tokens = maxTokens, ...settings } = sampling;
    const pairs = examples.map(({ idea, prompt }) => ({ prompt: idea, enhanced_prompt: prompt }));
    const title = name.charAt(0).toUpperCase() + name.slice(1);
    const texts = [`${target}-${name}`, title, target, system, JSON.stringify(pairs)].map(quoted);
    return `  (${[...texts, max_tokens, tokenLimit, quoted(JSON.stringify(settings))].join(", ")})`;
  });
  const replaced = Object.entries(firstOnes).map(([preset, digest]) => `  ('${preset}', '${digest}')`);
  return `-- Written by tools/supabase/presets-sql.ts from supabase/functions/_shared/presets: do not edit.

-- Tokens of the target model's own tokenizer that an enhanced prompt may have; null: what the model reads whole.
alter table public.enhancement_presets add column if not exists token_limit integer;
alter table public.enhancement_presets drop constraint if exists enhancement_presets_token_limit_check;
alter table public.enhancement_presets add constraint enhancement_presets_token_limit_check
  check (token_limit between 1 and 4096);

delete from public.enhancement_presets where (preset, md5(system_prompt)) in (values
${replaced.join(",\n")}
);

insert into public.enhancement_presets
  (preset, title, target_model, system_prompt, examples, max_tokens, token_limit, settings) values
${rows.join(",\n")}
on conflict (preset) do nothing;
`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

if (import.meta.main) await writeFile(presetsMigration, presetsSql());
