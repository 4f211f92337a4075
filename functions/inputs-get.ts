import { getInput } from "./api/inputs-get.ts";
import { defineRoute } from "./http/route.ts";
import { hashIn, noInput, viewInput } from "./inputs/input-view.ts";

export const getInputRoute = defineRoute(getInput).handle(async ({ params, query, base }, runtime) => {
  const upload = runtime.uploads.find(query.user_id ?? null, hashIn(params.id));
  if (upload === null) throw noInput();
  return { status: 200, body: await viewInput(upload, runtime, base) };
});
