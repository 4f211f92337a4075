import { z } from "zod";
import { declareRoute } from "./declare.ts";

export const ready = declareRoute({
  method: "GET",
  path: "/ready",
  access: "open",
  summary: "Whether the container takes jobs now",
  responses: { 200: z.object({ ready: z.literal(true) }) },
  errors: ["NOT_READY", "SHUTTING_DOWN"],
});
