import { stat } from "node:fs/promises";
import { CodedError } from "#contract/errors.ts";
import type { Config } from "#runtime/config.ts";
import type { Embedded } from "#runtime/runtime.ts";

/** Opens the database of the data folder, makes it when it is missing, and closes it afterwards. */
export async function withDatabase<Result>(
  config: Config,
  body: (embedded: Embedded) => Promise<Result>,
): Promise<Result> {
  const { openEmbedded } = await import("#runtime/runtime.ts");
  const embedded = await openEmbedded(config);
  try {
    return await body(embedded);
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
  config: Config,
  body: (embedded: Embedded) => Promise<Result>,
): Promise<Result> {
  const { databaseFile } = await import("#runtime/database/database.ts");
  const exists = await stat(databaseFile(config.dataFolder)).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code !== "ENOENT" && error.code !== "ENOTDIR",
  );
  if (!exists) {
    throw new CodedError(
      "DATA_FOLDER_UNUSABLE",
      `There are no jobs in ${config.dataFolder}: enqueue one, or name a container's data folder with --data or DATA_DIR.`,
    );
  }
  return withDatabase(config, body);
}
