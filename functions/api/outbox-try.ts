import { z } from "zod";
import { declareRoute } from "./declare.ts";
import { queueErrors } from "./schemas/errors.ts";

/** POST /outbox/try: for who has mended what kept results from the app and does not want to wait for the next try. */
export const tryOutbox = declareRoute({
  method: "POST",
  path: "/outbox/try",
  access: "key",
  summary: "Try now to deliver what waits in the outbox",
  responses: {
    202: z.object({
      /** How many results wait. Whether they got through, `/outbox` says. */
      waiting: z.number().int(),
    }),
  },
  errors: ["SHUTTING_DOWN", ...queueErrors],
});
