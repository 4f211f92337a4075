import { declareRoute } from "./declare.ts";
import { inputParams, inputView, owner } from "./schemas/input-view.ts";

export const getInput = declareRoute({
  method: "GET",
  path: "/inputs/:id",
  access: "key",
  summary: "Show an uploaded file",
  params: inputParams,
  query: owner,
  responses: { 200: inputView },
  errors: ["NOT_FOUND"],
});
