import { CodedError } from "#contract/errors.ts";
import { backUp } from "#runtime/backup/backup.ts";
import { restore as restoreBackup } from "#runtime/backup/restore.ts";
import { bytes } from "#runtime/lib/bytes.ts";
import { exitCodes } from "./errors.ts";
import { Interruption } from "./interruption.ts";
import { printResult, reportError } from "./output.ts";
import { type GlobalOptions, readSettings } from "./settings.ts";

/** The body of `ourvidz backup`. */
export async function backup(file: string, options: GlobalOptions): Promise<number> {
  const settings = await readSettings(options, { serves: false });
  return await unlessInterrupted("no backup was made", options, async (signal) => {
    const made = await backUp(settings, file, signal);
    const result = { file: made.file, size_bytes: made.sizeBytes };
    printResult(options, result, `${made.file}: ${bytes(made.sizeBytes)}`);
  });
}

/** The body of `ourvidz restore`. */
export async function restore(file: string, options: GlobalOptions): Promise<number> {
  const settings = await readSettings(options, { serves: false });
  return await unlessInterrupted("nothing was restored", options, async (signal) => {
    const { dataFolder, createdAt, version } = await restoreBackup(settings, file, signal);
    const result = { data_folder: dataFolder, created_at: createdAt, version };
    printResult(options, result, `${dataFolder}: as it was at ${createdAt}, version ${version}`);
  });
}

/** Ends with the signal's exit code, and with what that means, when one came before the work was done. */
async function unlessInterrupted(
  outcome: string,
  options: GlobalOptions,
  work: (signal: AbortSignal) => Promise<void>,
): Promise<number> {
  const interruption = new Interruption();
  try {
    await work(interruption.signal);
    return exitCodes.completed;
  } catch (error) {
    if (interruption.exitCode === null) throw error;
    reportError(new CodedError("CANCELLED", `Interrupted: ${outcome}.`, { cause: error }), options);
    return interruption.exitCode;
  } finally {
    interruption.close();
  }
}
