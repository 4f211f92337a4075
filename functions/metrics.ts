import { metrics } from "./api/metrics.ts";
import { defineRoute } from "./http/route.ts";

export const metricsRoute = defineRoute(metrics).handle(async (_request, { metricsRegistry }) => ({
  response: new Response(await metricsRegistry.text(), { headers: { "Content-Type": metricsRegistry.contentType } }),
}));
