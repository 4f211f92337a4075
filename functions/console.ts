import { consolePage } from "./api/console.ts";
import { pageResponse } from "./console/page.ts";
import { defineRoute } from "./http/route.ts";

export const consolePageRoute = defineRoute(consolePage, {
  withoutKey: (runtime) => pageResponse(runtime.config, 401),
}).handle((_request, runtime) => ({ response: pageResponse(runtime.config, 200) }));
