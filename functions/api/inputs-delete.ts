import { z } from "zod";
import { declareRoute } from "./declare.ts";
import { inputParams, owner, storeErrors } from "./schemas/input-view.ts";

export const deleteInput = declareRoute({
  method: "DELETE",
  path: "/inputs/:id",
  access: "key",
  summary: "Delete an uploaded file",
  description: "Jobs that still name it will fail. Without `user_id`, it goes for every user who has uploaded it.",
  params: inputParams,
  query: owner,
  responses: {
    200: z.object({
      input: z.string(),
      /** How many users' files went. */
      deleted: z.number().int(),
    }),
  },
  errors: ["NOT_FOUND", ...storeErrors],
});
