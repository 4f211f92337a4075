import { discardJob, discardMatching } from "#runtime/sources/discard-jobs.ts";
import type { JobStatus } from "#runtime/sources/job-source.ts";
import { exitCodes } from "../errors.ts";
import { localTypes, remoteTypes, requireQueue } from "../filter-check.ts";
import { readOutbox } from "../job/show-outbox.ts";
import { printResult } from "../output.ts";
import { withExistingQueue } from "../queue.ts";
import { remoteClient } from "../remote/remote-client.ts";
import { readSettings } from "../settings.ts";
import { changeJobs, type JobChange } from "./change-jobs.ts";
import { type FilterOptions, filterOf, queueOf } from "./filter-options.ts";

export type EndedStatus = "failed" | "completed" | "cancelled" | "any";

export interface DiscardOptions extends FilterOptions {
  readonly status?: EndedStatus;
  readonly files?: boolean;
}

const change = { verb: "Discard", counts: ["discarded", "files"] } as const satisfies Omit<
  JobChange,
  "part" | "knownTypes"
>;

/** `ourvidz discard` of one job. */
export async function discardOne(id: string, options: DiscardOptions): Promise<number> {
  const { files = false } = options;
  const removed = await removeOne(id, files, options);
  const text = files
    ? `${id} is discarded, with ${removed === 1 ? "1 file" : `${removed} files`}`
    : `${id} is discarded`;
  printResult(options, { job_id: id, status: "discarded", files: removed }, text);
  return exitCodes.completed;
}

async function removeOne(id: string, files: boolean, options: DiscardOptions): Promise<number> {
  const client = await remoteClient(options);
  if (client !== null) return (await client.discard(id, { files })).files;
  const config = await readSettings(options, { serves: false });
  return withExistingQueue(config, options, ({ queue, removeFiles }) =>
    discardJob(queue, id, files ? removeFiles : null),
  );
}

/** `ourvidz discard` of many jobs: of failed ones unless another state is named. */
export async function discardJobs(options: DiscardOptions): Promise<number> {
  const { status = "failed", type, user, code, olderThan, files = false } = options;
  const client = await remoteClient(options);
  if (client !== null) {
    const filter = { status, queue: queueOf(options), type, user_id: user, code, older_than_seconds: olderThan, files };
    const part: JobChange["part"] = async ({ limit, cursor, dryRun }) => {
      const { discarded, files, ...rest } = await client.discardJobs({ ...filter, limit, cursor, dry_run: dryRun });
      return { ...rest, changed: { discarded, files } };
    };
    const waiting = async () => (await client.outbox()).waiting;
    return changeJobs({ ...change, part, knownTypes: () => remoteTypes(client), waiting }, options);
  }
  const statuses: readonly JobStatus[] = status === "any" ? ["failed", "completed", "cancelled"] : [status];
  const filter = filterOf(options, statuses, Date.now());
  const config = await readSettings(options, { serves: false });
  return withExistingQueue(config, options, async (open) => {
    await requireQueue(options.queue, open, config.handlersFolder);
    const more = { filter, removeFiles: files ? open.removeFiles : null };
    const part: JobChange["part"] = (request) => discardMatching(open.queue, { ...request, ...more });
    const waiting = async () => (await readOutbox(options)).waiting;
    return changeJobs({ ...change, part, knownTypes: () => localTypes(config), waiting }, options);
  });
}
