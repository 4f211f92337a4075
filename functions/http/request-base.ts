/**
 * Where the caller reaches this container, with a slash at its end, so that addresses in an answer are whole: PUBLIC_URL, else
 * what the request and the proxies before it say. A caller that lies about it is answered with its own lie, and nobody else.
 */
export function requestBase({ headers, url }: Pick<Request, "headers" | "url">, publicUrl: string | undefined): string {
  if (publicUrl !== undefined) return withSlash(publicUrl);
  const { protocol, host } = new URL(url);
  const scheme = first(headers.get("x-forwarded-proto")) === "https" ? "https:" : protocol;
  const name = first(headers.get("x-forwarded-host")) ?? headers.get("host") ?? host;
  const prefix = first(headers.get("x-forwarded-prefix")) ?? "";
  const told = URL.parse(`${scheme}//${name}${prefix.startsWith("/") ? prefix : ""}`);
  const isPlain = told !== null && told.username === "" && told.password === "" && told.search === "";
  return withSlash(isPlain && told.hash === "" ? told.href : `${protocol}//${host}`);
}

/** Each proxy adds its own word behind those before it. */
function first(header: string | null): string | undefined {
  return header?.split(",")[0]?.trim() || undefined;
}

function withSlash(address: string): string {
  return address.endsWith("/") ? address : `${address}/`;
}

/** A path of this container (`/files/…`) as an address behind its base; what is an address already stays as it is. */
export function addressAt(base: string, path: string): string {
  return new URL(path.startsWith("/") ? path.slice(1) : path, base).href;
}
