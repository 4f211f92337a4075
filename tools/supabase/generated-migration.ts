import { readdirSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const migrationsFolder = fileURLToPath(new URL("../../supabase/migrations/", import.meta.url));

/** The newest migration with this name: those before it have been applied somewhere, and stay as they are. */
export function newestMigration(subject: string, folder: string = migrationsFolder): string | undefined {
  return readdirSync(folder)
    .toSorted()
    .findLast((name) => /^\d{14}_/.test(name) && name.slice(15) === `${subject}.sql`);
}

/**
 * Writes what a project should hold as a migration of its own, unless the newest of this name says the same. No file that
 * is there is written again.
 *
 * @returns the new file's name
 */
export async function writeMigration(
  subject: string,
  text: string,
  now: Date,
  folder: string = migrationsFolder,
): Promise<string | undefined> {
  const newest = newestMigration(subject, folder);
  if (newest !== undefined && readFileSync(join(folder, newest), "utf8") === text) return undefined;
  const name = `${nextNumber(folder, now)}_${subject}.sql`;
  await writeFile(join(folder, name), text, { flag: "wx" });
  return name;
}

/** The time in UTC, as the Supabase CLI numbers migrations, but never before one that is there. */
function nextNumber(folder: string, now: Date): string {
  const last = readdirSync(folder).flatMap((name) => /^\d{14}(?=_)/.exec(name) ?? []);
  const wanted = Number(now.toISOString().replace(/\D/g, "").slice(0, 14));
  return String(Math.max(wanted, ...last.map((number) => Number(number) + 1)));
}
