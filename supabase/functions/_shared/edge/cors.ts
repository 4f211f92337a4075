/** What browsers are answered about calling a function from a page of another origin. */

/** The first ones are what Supabase's client sends. */
const allowedHeaders =
  "authorization, x-client-info, apikey, content-type, x-region, x-supabase-api-version, idempotency-key, x-request-id";
const exposedHeaders = "x-request-id, retry-after";

/**
 * @param origin of the page that calls; null for a program
 * @param allowed origins, `*` for any. Nothing here lets cookies in: a caller shows a token of its own.
 */
export function corsHeaders(origin: string | null, allowed: readonly string[]): Record<string, string> {
  if (allowed.includes("*"))
    return { "Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": exposedHeaders };
  if (origin === null || !allowed.includes(origin)) return { Vary: "Origin" };
  return { "Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": exposedHeaders, Vary: "Origin" };
}

export function preflightHeaders(methods: readonly string[]): Record<string, string> {
  return {
    "Access-Control-Allow-Methods": [...methods, "OPTIONS"].join(", "),
    "Access-Control-Allow-Headers": allowedHeaders,
    "Access-Control-Max-Age": "86400",
  };
}
