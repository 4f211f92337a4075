import { z } from "zod";
import { declareRoute } from "./declare.ts";

/** GET /docs: the API's description for people, made from the same document as `/openapi.json`. */
export const docs = declareRoute({
  method: "GET",
  path: "/docs",
  access: "page",
  summary: "The API's description as a page",
  produces: "text/html",
  responses: { 200: z.string() },
});
