import { DatabaseSync } from "node:sqlite";
import { toDatabaseError } from "./sqlite-errors.ts";

/** A recovery of what a killed process has left, and no more, has to be waited for. */
const lockLimitMs = 10_000;

/**
 * Writes what the database holds at this moment into a new file. Others go on meanwhile. Its tables stay as they are: those of an
 * earlier version, whose containers may be at work, are not brought up to date. Blocks.
 * @throws CodedError DATA_FOLDER_UNUSABLE, DISK_FULL
 */
export function snapshotDatabase(path: string, target: string): void {
  let connection: DatabaseSync | undefined;
  try {
    connection = new DatabaseSync(path, { timeout: lockLimitMs });
    connection.prepare("VACUUM INTO ?").run(target);
  } catch (error) {
    throw toDatabaseError(error, path);
  } finally {
    connection?.close();
  }
}
