import { z } from "zod";
import { defineRoute } from "./http/route.ts";

/** GET /metrics: what `docs/11-metrics.md` lists, in Prometheus' text format. */
export const metrics = defineRoute({
  method: "GET",
  path: "/metrics",
  access: "key or loopback",
  summary: "Metrics in Prometheus' text format",
  produces: "text/plain",
  responses: { 200: z.string() },
}).handle(async (_request, { metricsRegistry }) => ({
  response: new Response(await metricsRegistry.text(), { headers: { "Content-Type": metricsRegistry.contentType } }),
}));
