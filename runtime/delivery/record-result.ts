import { setTimeout as pause } from "node:timers/promises";
import type { Logger } from "#runtime/observe/log.ts";
import type { Outbox } from "./outbox.ts";
import type { OutboxEntry } from "./outbox-entry.ts";
import { fieldsOf, type OutboxRow } from "./outbox-row.ts";
import { retryPauseMs } from "./retry-pause.ts";

export interface ResultRecorder {
  readonly outbox: Pick<Outbox, "record">;
  readonly log: Logger;
  readonly random: () => number;
}

/** About ten minutes, with the pauses between. */
const maxTries = 16;
/** Work that took longer than this is not to be done again after a power cut. */
const longWorkMs = 1000;

/**
 * Writes the end of an attempt down. Until that is done, the result is only in this process: a disk that is full for a moment must not
 * cost it.
 * @param ranMs how long the attempt ran; null when none did
 * @param signal ends the tries
 * @returns null when it was recorded before and another process works on it
 * @throws what kept it from being written, after the last try
 */
export async function recordResult(
  { outbox, log, random }: ResultRecorder,
  entry: OutboxEntry,
  ranMs: number | null,
  signal: AbortSignal,
): Promise<OutboxRow | null> {
  // The wait for the disk is a millisecond in which this process does nothing else: spent on files, and on long work.
  const durably = entry.files.length > 0 || (ranMs !== null && ranMs > longWorkMs);
  for (let tries = 1; ; tries++) {
    try {
      return await outbox.record(entry, durably);
    } catch (error) {
      if (signal.aborted || tries >= maxTries) throw error;
      const delayMs = retryPauseMs(tries, random);
      const fields = { ...fieldsOf({ entry }), next_try_in_seconds: delayMs / 1000 };
      log.error({ ...fields, error }, "a finished job cannot be recorded; trying again");
      await pause(delayMs, undefined, { signal }).catch(() => undefined);
    }
  }
}
