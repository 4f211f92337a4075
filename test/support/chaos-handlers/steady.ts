import { defineHandler } from "#contract/handler.ts";
import noop from "../handlers/noop.ts";

/**
 * As noop, but with so many attempts that being killed by others never uses them up: half of all attempts may end that
 * way, and one job in 2^50 would fail.
 */
export default defineHandler({
  ...noop,
  type: "steady",
  retry: { maxAttempts: 50, timeoutSeconds: 30, backoffSeconds: 0.01 },
});
