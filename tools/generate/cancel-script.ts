import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { loadScript } from "#runtime/sources/upstash/scripts.ts";

/*
 * Edge functions are deployed as modules and cannot read files: the one script that they run is written into a module.
 *
 *   node tools/generate/cancel-script.ts
 */
export const cancelScriptFile = fileURLToPath(
  new URL("../../supabase/functions/_shared/cancel-script.ts", import.meta.url),
);

/** The module's text. */
export function cancelScriptModule(): string {
  const { text } = loadScript("cancel");
  const escaped = text.replace(/[\\`]|\$\{/g, (special) => `\\${special}`);
  return `// Written by tools/generate/cancel-script.ts from runtime/sources/upstash/scripts/cancel.lua; a test compares them.
export const cancelScript = \`${escaped}\`;
`;
}

if (import.meta.main) writeFileSync(cancelScriptFile, cancelScriptModule());
