import { z } from "zod";
import { defineRoute } from "./http/route.ts";
import { describeApi } from "./openapi/document.ts";

/** GET /openapi.json: this page of the documentation, for programs. */
export const openApi = defineRoute({
  method: "GET",
  path: "/openapi.json",
  access: "key or loopback",
  summary: "The API's description (OpenAPI 3.1), with the fields of each job type",
  responses: { 200: z.looseObject({ openapi: z.string() }) },
}).handle(({ routes }, runtime) => ({
  status: 200,
  headers: { "Cache-Control": "no-cache" },
  body: { ...describeApi(routes, runtime) },
}));
