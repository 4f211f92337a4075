import { chmod, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { roomyMemoryFolder } from "./memory-folder.ts";
import { preparePostgres } from "./supabase/postgres.ts";

/** Once before all test files. Where it cannot be done, the tests that need it say what is missing. */
export default async function setup(): Promise<() => Promise<void>> {
  shareCompiledCode();
  const removeTemporary = await keepTemporaryFilesInMemory();
  await preparePostgres().catch(() => undefined);
  return removeTemporary;
}

/**
 * The tests start many hundred executors, and the dispatcher that starts them is no `ourvidz` command: with the
 * command's own cache an executor starts with a third of the work.
 */
function shareCompiledCode(): void {
  process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL("../../node_modules/.cache/ourvidz", import.meta.url));
}

/**
 * Databases and outboxes of tests sync each write, which is milliseconds on a disk that others use. What the tests kill is
 * processes, and what those wrote stays in memory as it does on a disk.
 */
async function keepTemporaryFilesInMemory(): Promise<() => Promise<void>> {
  const memory = process.env.TMPDIR === undefined ? await roomyMemoryFolder() : undefined;
  if (memory === undefined) return async () => undefined;
  const folder = await mkdtemp(join(memory, "ourvidz-tests-"));
  // As /tmp is: some tests run as another user.
  await chmod(folder, 0o1777);
  process.env.TMPDIR = folder;
  return () => rm(folder, { recursive: true, force: true });
}
