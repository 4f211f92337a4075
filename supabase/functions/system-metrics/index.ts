import { systemMetrics } from "./system-metrics.ts";

Deno.serve(systemMetrics.serve(Deno.env.toObject()));
