/** What buckets, users, jobs and files are called; nothing that means anything to a file system. */
const safePart = /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/;

/**
 * The name `<bucket>/<path>` that a request for `/files/<bucket>/<path>` means, null when it cannot be the name of a
 * file here. Each part is decoded once and then checked, so that no encoding of `..`, `/`, `\` or NUL gets through.
 */
export function signedName(requestPath: string): string | null {
  const prefix = "/files/";
  if (!requestPath.startsWith(prefix)) return null;
  const parts = requestPath.slice(prefix.length).split("/").map(decodePart);
  const safe = parts.filter((part) => part !== null && safePart.test(part));
  return safe.length === parts.length && parts.length >= 2 ? safe.join("/") : null;
}

function decodePart(part: string): string | null {
  try {
    return decodeURIComponent(part);
  } catch {
    return null;
  }
}
