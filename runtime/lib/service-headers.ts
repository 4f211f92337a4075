/**
 * The headers that show a Supabase project's service key. An older key is a JWT and is sent as the bearer of the request
 * too; a newer one (`sb_secret_…`) is none, and a service that reads it as one would refuse it.
 */
export function serviceHeaders(serviceKey: string): Readonly<Record<string, string>> {
  const isJwt = serviceKey.split(".").length === 3;
  return { apikey: serviceKey, ...(isJwt ? { authorization: `Bearer ${serviceKey}` } : {}) };
}
