import { backUp } from "#runtime/backup/backup.ts";
import { restore as restoreBackup } from "#runtime/backup/restore.ts";
import { bytes } from "#runtime/lib/bytes.ts";
import { exitCodes } from "./errors.ts";
import { printResult } from "./output.ts";
import { type GlobalOptions, readSettings } from "./settings.ts";

/** The body of `ourvidz backup`. */
export async function backup(file: string, options: GlobalOptions): Promise<number> {
  const made = await backUp(await readSettings(options, { serves: false }), file);
  const result = { file: made.file, size_bytes: made.sizeBytes };
  printResult(options, result, `${made.file}: ${bytes(made.sizeBytes)}`);
  return exitCodes.completed;
}

/** The body of `ourvidz restore`. */
export async function restore(file: string, options: GlobalOptions): Promise<number> {
  const { dataFolder, createdAt, version } = await restoreBackup(await readSettings(options, { serves: false }), file);
  const result = { data_folder: dataFolder, created_at: createdAt, version };
  printResult(options, result, `${dataFolder}: as it was at ${createdAt}, version ${version}`);
  return exitCodes.completed;
}
