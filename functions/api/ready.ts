import { z } from "zod";
import { declareRoute } from "./declare.ts";
import { limitView } from "./schemas/worker-views.ts";

export const ready = declareRoute({
  method: "GET",
  path: "/ready",
  access: "open",
  summary: "Whether the container takes jobs now",
  responses: {
    200: z.object({
      ready: z.literal(true),
      /** What it does not run at present; all the rest it does. */
      limited: z.array(limitView),
    }),
  },
  errors: ["NOT_READY", "SHUTTING_DOWN"],
});
