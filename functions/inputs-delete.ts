import { inputAddress } from "#contract/input-address.ts";
import { deleteInput } from "./api/inputs-delete.ts";
import { defineRoute } from "./http/route.ts";
import { hashIn, noInput } from "./inputs/input-view.ts";

export const deleteInputRoute = defineRoute(deleteInput).handle(async ({ params, query, audit }, { uploads }) => {
  const sha256 = hashIn(params.id);
  const deleted = await uploads.remove(query.user_id ?? null, sha256);
  if (deleted === 0) throw noInput();
  audit("input deleted", { sha256, user_id: query.user_id, deleted });
  return { status: 200, body: { input: inputAddress(sha256), deleted } };
});
