import { preparePostgres } from "./supabase/postgres.ts";

/** Once before all test files. Where it cannot be done, the tests that need it say what is missing. */
export default async function setup(): Promise<void> {
  await preparePostgres().catch(() => undefined);
}
