import { openApi } from "./api/openapi-json.ts";
import { defineRoute } from "./http/route.ts";
import { describeApi } from "./openapi/document.ts";

export const openApiRoute = defineRoute(openApi).handle(({ routes, base }, runtime) => ({
  status: 200,
  headers: { "Cache-Control": "no-cache" },
  body: { ...describeApi(routes, runtime, base) },
}));
