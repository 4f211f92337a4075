import type { Config } from "#runtime/container/config.ts";

/** Where the pictures of jobs may be: here, or in the app's storage. */
export type AssetPlaces = Pick<Config, "supabase"> & { readonly http: Pick<Config["http"], "publicUrl"> };

/**
 * Nothing runs in the page but the container's own scripts, nothing is loaded but its styles and the pictures of jobs, and
 * no other page may hold it in a frame. Prompts and errors are untrusted input: with trusted types, a script that would
 * make markup of a text is stopped by the browser.
 */
export function securityPolicy({ supabase, http }: AssetPlaces): string {
  const given = [supabase?.url, http.publicUrl].flatMap((address) => URL.parse(address ?? "")?.origin ?? []);
  const places = [...new Set(["'self'", ...given])].join(" ");
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    `img-src ${places} data:`,
    `media-src ${places}`,
    `connect-src ${places}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join("; ");
}
