import { CodedError } from "#contract/errors.ts";
import type { JobRecord } from "#runtime/sources/job-source.ts";
import { exitCodes } from "../errors.ts";
import { Interruption } from "../interruption.ts";
import { note, printResult } from "../output.ts";
import { type OpenQueue, withExistingQueue } from "../queue.ts";
import { remoteClient } from "../remote/remote-client.ts";
import { readSettings } from "../settings.ts";
import { describeJob } from "./describe.ts";
import { followJob } from "./follow.ts";
import type { ShowJobOptions } from "./options.ts";
import { jobJson } from "./view.ts";

/** The body of `ourvidz job`. */
export async function showJob(id: string, options: ShowJobOptions): Promise<number> {
  const client = await remoteClient(options);
  if (client !== null) return (await import("../remote/show-job.ts")).showRemoteJob(client, id, options);
  const config = await readSettings(options, { serves: false });
  return withExistingQueue(config, options, async (open) => {
    const first = await open.queue.get(id);
    if (first === null) throw new CodedError("JOB_NOT_FOUND", `There is no job ${id}: "ourvidz jobs" lists them.`);
    const { record, exitCode } = options.follow
      ? await follow(open, first)
      : { record: first, exitCode: exitCodes.completed };
    const shown = await jobJson(record, open, config);
    printResult(options, shown, describeJob(shown));
    return exitCode;
  });
}

async function follow(open: OpenQueue, first: JobRecord): Promise<{ record: JobRecord; exitCode: number }> {
  const interruption = new Interruption();
  const record = await followJob(open, first, interruption.signal, note);
  interruption.close();
  const endCode = record.status === "completed" ? exitCodes.completed : exitCodes.failed;
  return { record, exitCode: interruption.exitCode ?? endCode };
}
