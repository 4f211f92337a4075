import { stat } from "node:fs/promises";
import { CodedError } from "#contract/errors.ts";
import type { Config } from "#runtime/config.ts";
import type { Embedded } from "#runtime/runtime.ts";
import { type GlobalOptions, readSettings } from "./settings.ts";

/** Opens the database of the data folder, makes it when it is missing, and closes it afterwards. */
export async function withDatabase<Result>(
  options: GlobalOptions,
  body: (embedded: Embedded, config: Config) => Promise<Result>,
): Promise<Result> {
  const config = await readSettings(options, { serves: false });
  const { openEmbedded } = await import("#runtime/runtime.ts");
  const embedded = await openEmbedded(config);
  try {
    return await body(embedded, config);
  } finally {
    await embedded.close();
  }
}

/**
 * As above, but for commands that look: in a folder without a database there is nothing to see, and a mistyped folder
 * must not look like an empty queue.
 *
 * @throws CodedError DATA_FOLDER_UNUSABLE when there is no database yet
 */
export async function withExistingDatabase<Result>(
  options: GlobalOptions,
  body: (embedded: Embedded, config: Config) => Promise<Result>,
): Promise<Result> {
  const { dataFolder } = await readSettings(options, { serves: false });
  const { databaseFile } = await import("#runtime/database/database.ts");
  const exists = await stat(databaseFile(dataFolder)).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code !== "ENOENT" && error.code !== "ENOTDIR",
  );
  if (!exists) {
    throw new CodedError(
      "DATA_FOLDER_UNUSABLE",
      `There are no jobs in ${dataFolder}: enqueue one, or name a container's data folder with --data or DATA_DIR.`,
    );
  }
  return withDatabase(options, body);
}
