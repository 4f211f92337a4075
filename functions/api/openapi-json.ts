import { z } from "zod";
import { declareRoute } from "./declare.ts";

/** GET /openapi.json: this page of the documentation, for programs. */
export const openApi = declareRoute({
  method: "GET",
  path: "/openapi.json",
  access: "key",
  summary: "The API's description (OpenAPI 3.1), with the fields of each job type",
  responses: { 200: z.looseObject({ openapi: z.string() }) },
});
