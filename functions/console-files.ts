import { z } from "zod";
import { readConsoleFile } from "./console/files.ts";
import { HttpError } from "./errors.ts";
import { defineRoute, noContent } from "./http/route.ts";

/** GET /console/<file>: the console's scripts and styles. They are the program's own, the same everywhere. */
export const consoleFile = defineRoute({
  method: "GET",
  path: "/console/:file",
  access: "open",
  summary: "The console's scripts and styles",
  produces: "text/javascript",
  params: z.object({ file: z.string() }),
  headers: { "If-None-Match": z.string().describe("The ETag of what the client has.") },
  responses: {
    200: z.string(),
    /** The client has it. */
    304: noContent,
  },
  errors: ["NOT_FOUND"],
}).handle(async ({ params, headers }) => {
  const file = await readConsoleFile(params.file);
  if (file === null) throw new HttpError("NOT_FOUND", "The console has no such file.");
  const { bytes, mimeType, etag } = file;
  // Asked for anew at each visit, so that a newer container is not used with an older one's scripts.
  const answered = { ETag: etag, "Cache-Control": "no-cache", "Content-Security-Policy": "default-src 'none'" };
  if (headers.get("if-none-match") === etag)
    return { response: new Response(null, { status: 304, headers: answered }) };
  return { response: new Response(bytes, { headers: { ...answered, "Content-Type": mimeType } }) };
});
