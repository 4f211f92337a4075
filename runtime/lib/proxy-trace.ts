/*
 * Requests that somebody passes on say so in headers of their own, or speak an HTTP of last century. A server without a key
 * trusts whoever is at this machine; who comes through a proxy at this machine may be anybody. What the headers say counts
 * for nothing: proxies pass on what their clients wrote.
 */

/** Of proxies, tunnels, load balancers and content networks. No client sends one for itself. */
const headers: ReadonlySet<string> = new Set([
  "forwarded",
  "via",
  "cdn-loop",
  "x-real-ip",
  "x-client-ip",
  "x-cluster-client-ip",
  "x-original-host",
  "x-original-forwarded-for",
  "x-remote-ip",
  "x-proxyuser-ip",
  "true-client-ip",
  "fastly-client-ip",
  "fly-client-ip",
  "x-azure-clientip",
  "x-amzn-trace-id",
]);

/** `X-Forwarded-For`, `-Host`, `-Proto`, `-Port`, `-Prefix` …; Cloudflare's, Envoy's, Azure's and Tailscale's own. */
const families = ["x-forwarded", "cf-", "x-envoy-", "x-arr-", "x-appengine-", "x-vercel-", "tailscale-"];

/**
 * What shows that a request came through a proxy: a header's name, or `HTTP/1.0`, which nginx speaks to its servers unless it
 * is told otherwise; null when nothing does.
 */
export function proxyTrace(names: Iterable<string>, httpVersion: string | undefined): string | null {
  for (const name of names) {
    const known = name.toLowerCase();
    if (headers.has(known) || families.some((family) => known.startsWith(family))) return name;
  }
  return httpVersion === "1.0" ? "HTTP/1.0" : null;
}
