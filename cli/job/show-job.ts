import type { AttemptLog } from "#contract/attempt-log.ts";
import { CodedError } from "#contract/errors.ts";
import type { Config } from "#runtime/container/config.ts";
import type { JobRecord } from "#runtime/sources/job-source.ts";
import { exitCodes } from "../errors.ts";
import { Interruption } from "../interruption.ts";
import { note, printResult } from "../output.ts";
import { type OpenQueue, withExistingQueue } from "../queue.ts";
import { remoteClient } from "../remote/remote-client.ts";
import { readSettings } from "../settings.ts";
import { describeJob } from "./describe.ts";
import { followJob } from "./follow.ts";
import { namedJob } from "./named-job.ts";
import type { ShowJobOptions } from "./options.ts";
import { newestOr, showLog } from "./show-log.ts";
import { jobJson } from "./view.ts";

/** The body of `ourvidz job`. */
export async function showJob(id: string, options: ShowJobOptions): Promise<number> {
  const client = await remoteClient(options);
  if (client !== null) return (await import("../remote/show-job.ts")).showRemoteJob(client, id, options);
  const config = await readSettings(options, { serves: false });
  return withExistingQueue(config, options, async (open) => {
    const first = await open.queue.get(await namedJob(open.queue, id));
    if (first === null) throw new CodedError("JOB_NOT_FOUND", `There is no job ${id}: "ourvidz jobs" lists them.`);
    if (options.log !== undefined) return showLog(options, await logOf(first, options.log, config, open));
    const { record, exitCode } = options.follow
      ? await follow(open, first)
      : { record: first, exitCode: exitCodes.completed };
    const shown = await jobJson(record, open);
    printResult(options, shown, describeJob(shown));
    return exitCode;
  });
}

/** Of the data folder, where a container on this machine has written it; else what the job's source keeps. */
async function logOf(record: JobRecord, log: number | true, config: Config, { queue }: OpenQueue): Promise<AttemptLog> {
  const [{ readAttemptLog }, { findAttemptLog }, { logsFolder }] = await Promise.all([
    import("#runtime/attempt-logs/attempt-logs.ts"),
    import("#runtime/attempt-logs/find-attempt-log.ts"),
    import("#runtime/container/data-folder.ts"),
  ]);
  const folder = logsFolder(config.dataFolder);
  const { id } = record.job;
  const read = async (attempt: number) =>
    (await readAttemptLog(folder, id, attempt)) ?? (await queue.readLog(id, attempt));
  return findAttemptLog(record, newestOr(log, record), { read, workerId: config.workerId });
}

async function follow(open: OpenQueue, first: JobRecord): Promise<{ record: JobRecord; exitCode: number }> {
  const interruption = new Interruption();
  const record = await followJob(open, first, interruption.signal, note);
  interruption.close();
  const endCode = record.status === "completed" ? exitCodes.completed : exitCodes.failed;
  return { record, exitCode: interruption.exitCode ?? endCode };
}
