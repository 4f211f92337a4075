import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { z } from "zod";
import type { Logger } from "#runtime/observe/log.ts";
import { pidSpace, readStat } from "../watchdog/proc.ts";
import { isRunning, killMarked } from "../watchdog/processes.ts";
import { isMarkOf } from "./marks.ts";
import { watchdog } from "./watchdog.ts";

/*
 * When a container and its watchdog are killed together (SIGKILL), an executor whose thread is blocked stays, and so does
 * what it has started. So each container writes down in its data folder who it is; the next one to start there kills what
 * those have left that are gone. Others' processes bear other marks.
 */
const ownerRecord = z.object({
  /** Its number, of which the marks of its executors are made. */
  owner: z.int(),
  pid: z.int(),
  startTicks: z.int(),
  boot: z.string(),
  namespace: z.string(),
});
type OwnerRecord = z.output<typeof ownerRecord>;

/** A container that cannot be seen from here, in another namespace of processes, has gone after so long, or will do without. */
const keptUnseenMs = 7 * 24 * 60 * 60 * 1000;

/** Writes down that this process has executors. Resolves with the way to take that back. Never rejects: the disk may be full. */
export async function recordOwner(folder: string, log: Pick<Logger, "warn">): Promise<() => Promise<void>> {
  const [space, self] = [pidSpace(), readStat("self")];
  if (space === null || self === null) return async () => undefined;
  const { owner } = watchdog;
  const file = join(folder, `${owner}.json`);
  const record: OwnerRecord = { owner, pid: process.pid, startTicks: self.startTicks, ...space };
  try {
    await mkdir(folder, { recursive: true });
    await writeFile(file, JSON.stringify(record));
  } catch (error) {
    log.warn({ error }, "it could not be written down which executors this container has");
  }
  return async () => await rm(file, { force: true }).catch(() => undefined);
}

/** Whether containers have run in this data folder that were killed, and none runs there as far as it can be seen from here. */
export async function isLeftBehind(folder: string): Promise<boolean> {
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith(".json"));
  const records = await Promise.all(names.map((name) => readRecord(join(folder, name))));
  return records.length > 0 && records.every((record) => record !== null && isGone(record));
}

function isGone(record: OwnerRecord): boolean {
  const space = pidSpace();
  if (space === null) return false;
  if (record.boot !== space.boot) return true;
  return record.namespace === space.namespace && !isRunning(record);
}

/** Kills what the containers of this data folder that are gone have left behind. Never rejects. */
export async function killLeftBehind(folder: string, log: Pick<Logger, "warn">): Promise<void> {
  try {
    const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith(".json"));
    for (const name of names) await killLeftBy(join(folder, name), log);
  } catch (error) {
    log.warn({ error }, "what an earlier container has left running could not be looked for");
  }
}

async function killLeftBy(file: string, log: Pick<Logger, "warn">): Promise<void> {
  const record = await readRecord(file);
  const space = pidSpace();
  if (record === null || space === null) return;
  const isSeen = record.boot === space.boot && record.namespace === space.namespace;
  if (isSeen && isRunning(record)) return;
  if (isSeen) {
    const processes = await killMarked((mark) => isMarkOf(record.owner, mark));
    if (processes > 0)
      log.warn(
        { pid: record.pid, processes },
        "a container that was killed had left processes running: they are killed",
      );
  } else if (record.boot === space.boot) {
    // Its pid means nothing here.
    const { mtimeMs } = await stat(file);
    if (Date.now() - mtimeMs < keptUnseenMs) return;
  }
  await rm(file, { force: true });
}

/** Null for one that is being written, or goes at this moment. */
async function readRecord(file: string): Promise<OwnerRecord | null> {
  try {
    return ownerRecord.parse(JSON.parse(await readFile(file, "utf8")));
  } catch {
    return null;
  }
}
