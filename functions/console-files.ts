import { consoleFile } from "./api/console-files.ts";
import { readConsoleFile } from "./console/files.ts";
import { HttpError } from "./errors.ts";
import { defineRoute } from "./http/route.ts";

export const consoleFileRoute = defineRoute(consoleFile).handle(async ({ params, headers }) => {
  const file = await readConsoleFile(params.file);
  if (file === null) throw new HttpError("NOT_FOUND", "The console has no such file.");
  const { bytes, mimeType, etag } = file;
  // Requested anew at each visit, so that a newer container is not used with an older one's scripts.
  const answered = { ETag: etag, "Cache-Control": "no-cache", "Content-Security-Policy": "default-src 'none'" };
  if (headers.get("if-none-match") === etag)
    return { response: new Response(null, { status: 304, headers: answered }) };
  return { response: new Response(bytes, { headers: { ...answered, "Content-Type": mimeType } }) };
});
