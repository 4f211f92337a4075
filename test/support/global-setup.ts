import process from "node:process";
import { fileURLToPath } from "node:url";
import { preparePostgres } from "./supabase/postgres.ts";

/** Once before all test files. Where it cannot be done, the tests that need it say what is missing. */
export default async function setup(): Promise<void> {
  shareCompiledCode();
  await preparePostgres().catch(() => undefined);
}

/**
 * The tests start many hundred executors, and the dispatcher that starts them is no `ourvidz` command: with the
 * command's own cache an executor starts with a third of the work.
 */
function shareCompiledCode(): void {
  process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL("../../node_modules/.cache/ourvidz", import.meta.url));
}
