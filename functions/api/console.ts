import { z } from "zod";
import { declareRoute } from "./declare.ts";

/**
 * GET /: the console. A browser that has no key gets the page too, because it holds nothing of this container: its
 * script asks for the key. Who is not a browser gets the error.
 */
export const consolePage = declareRoute({
  method: "GET",
  path: "/",
  access: "page",
  summary: "The console: a page that shows the container and works it",
  produces: "text/html",
  responses: { 200: z.string() },
});
