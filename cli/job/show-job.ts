import { CodedError } from "#contract/errors.ts";
import type { JobRecord } from "#runtime/source/job-source.ts";
import type { ShowJobOptions } from "../commands/job.ts";
import { exitCodes } from "../errors.ts";
import { Interruption } from "../interruption.ts";
import { note, printResult } from "../output.ts";
import { type OpenQueue, withExistingQueue } from "../queue.ts";
import { readSettings } from "../settings.ts";
import { describeJob } from "./describe.ts";
import { followJob } from "./follow.ts";
import { jobJson, statusText } from "./view.ts";

/** The body of `ourvidz job`. */
export async function showJob(id: string, options: ShowJobOptions): Promise<number> {
  const config = await readSettings(options, { serves: false });
  return withExistingQueue(config, options, async (embedded) => {
    const first = await embedded.source.get(id);
    if (first === null) throw new CodedError("JOB_NOT_FOUND", `There is no job ${id}: "ourvidz jobs" lists them.`);
    const { record, exitCode } = options.follow
      ? await follow(embedded.source, first)
      : { record: first, exitCode: exitCodes.completed };
    printResult(options, await jobJson(record, embedded, config), describeJob(record, embedded));
    return exitCode;
  });
}

async function follow(source: OpenQueue["source"], first: JobRecord): Promise<{ record: JobRecord; exitCode: number }> {
  const interruption = new Interruption();
  const record = await followJob(source, first, interruption.signal, (seen) => note(statusText(seen)));
  interruption.close();
  const endCode = record.status === "completed" ? exitCodes.completed : exitCodes.failed;
  return { record, exitCode: interruption.exitCode ?? endCode };
}
