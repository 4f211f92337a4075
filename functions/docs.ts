import { createHash } from "node:crypto";
import { docs } from "./api/docs.ts";
import { renderDocs } from "./docs/page.ts";
import { style } from "./docs/style.ts";
import { defineRoute } from "./http/route.ts";
import { describeApi } from "./openapi/document.ts";

/** The page runs nothing and loads nothing; its one style sheet is known by its digest. */
const policy = [
  "default-src 'none'",
  `style-src 'sha256-${createHash("sha256").update(style).digest("base64")}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

export const docsRoute = defineRoute(docs).handle(async ({ routes, base }, runtime) => {
  const page = await renderDocs(describeApi(routes, runtime, base), base.slice(0, -1));
  const headers = { "Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy };
  return { response: new Response(page.toString(), { headers }) };
});
