import { z } from "zod";
import { declareRoute, noContent } from "./declare.ts";

/** GET /console/<file>: the console's scripts and styles. They are the program's own, the same everywhere. */
export const consoleFile = declareRoute({
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
});
