import { z } from "zod";
import { declareRoute } from "./declare.ts";

/** GET /metrics: what `docs/11-metrics.md` lists, in Prometheus' text format. */
export const metrics = declareRoute({
  method: "GET",
  path: "/metrics",
  access: "key",
  summary: "Metrics in Prometheus' text format",
  produces: "text/plain",
  responses: { 200: z.string() },
});
