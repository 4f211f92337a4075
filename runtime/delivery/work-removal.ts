import { type ErrorCode, toErrorReport } from "#contract/errors.ts";
import { removeWork } from "#runtime/container/data-folder.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { OutboxEntry } from "./outbox-entry.ts";

/** What the store refused for good is kept until housekeeping finds it, for a person to look at. */
const keptCodes: ReadonlySet<ErrorCode> = new Set(["ASSET_REFUSED", "ASSET_PATH_REFUSED"]);

/**
 * Removes the folder in which an attempt has worked, when its result is delivered and no row names the files any more. Never rejects:
 * housekeeping removes what is left.
 */
export async function removeDeliveredWork(
  { ended, settlement, files, workFolder }: OutboxEntry,
  log: Pick<Logger, "warn">,
): Promise<void> {
  if (ended) return;
  // A job that completed without files has no folder; one that did not complete may have left some in it.
  if (settlement.kind === "complete" && files.length === 0) return;
  if (settlement.kind === "fail" && keptCodes.has(settlement.error.code)) return;
  await removeWork(workFolder).catch((error: unknown) => {
    log.warn({ error: toErrorReport(error) }, "a work folder could not be removed");
  });
}
