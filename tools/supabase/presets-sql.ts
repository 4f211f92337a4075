import { readdirSync, readFileSync } from "node:fs";
import { presetFile, presetsOfFile } from "#contract/enhancement-presets.ts";
import { writeMigration } from "./generated-migration.ts";

/** Name of the migrations that bring the shipped presets into the table. */
export const presetsSubject = "presets";

const folder = new URL("../../supabase/functions/_shared/presets/", import.meta.url);
/** Tokens of the language model, for a preset that does not say. */
const maxTokens = 200;

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
  return `-- Written by tools/supabase/presets-sql.ts from supabase/functions/_shared/presets: do not edit.

insert into ourvidz.enhancement_presets
  (preset, title, target_model, system_prompt, examples, max_tokens, token_limit, settings) values
${rows.join(",\n")}
on conflict (preset) do nothing;
`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

if (import.meta.main) await writeMigration(presetsSubject, presetsSql(), new Date());
