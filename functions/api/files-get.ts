import { z } from "zod";
import { declareRoute, noContent } from "./declare.ts";

/** The signature was checked before this route is reached. */
export const file = declareRoute({
  method: "GET",
  path: "/files/*",
  access: "signed",
  summary: "A file that a job has made; ranges are supported, so that videos can be sought in",
  produces: "application/octet-stream",
  query: z.looseObject({ expires: z.string(), signature: z.string() }),
  headers: {
    Range: z.string().describe("One range of bytes."),
    "If-None-Match": z.string().describe("The ETag of what the client has."),
    "If-Modified-Since": z.string().describe("When the client got what it has."),
    "If-Range": z.string().describe("The ETag, or the time, of the file that the range is of."),
  },
  responses: {
    200: z.string(),
    206: z.string(),
    /** The client has it. */
    304: noContent,
  },
  errors: ["NOT_FOUND", "RANGE_NOT_SATISFIABLE"],
});
