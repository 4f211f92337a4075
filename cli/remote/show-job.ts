import type { OurvidzClient } from "#client/client.ts";
import { exitCodes } from "../errors.ts";
import { Interruption } from "../interruption.ts";
import { describeJob } from "../job/describe.ts";
import { namedRemoteJob } from "../job/named-job.ts";
import type { ShowJobOptions } from "../job/options.ts";
import { newestOr, showLog } from "../job/show-log.ts";
import { statusText } from "../job/view.ts";
import { note, printResult } from "../output.ts";

/** `ourvidz job` against a container. */
export async function showRemoteJob(client: OurvidzClient, name: string, options: ShowJobOptions): Promise<number> {
  const id = await namedRemoteJob(client, name);
  if (options.log !== undefined) {
    const attempt = newestOr(options.log, await client.job(id));
    return showLog(options, await client.attemptLog(id, attempt));
  }
  const interrupted = options.follow ? await follow(client, id) : null;
  const job = await client.job(id);
  printResult(options, job, describeJob(job));
  if (!options.follow) return exitCodes.completed;
  return interrupted ?? (job.status === "completed" ? exitCodes.completed : exitCodes.failed);
}

/** Reports what happens until the end; returns the exit code of an interruption, null without one. */
async function follow(client: OurvidzClient, id: string): Promise<number | null> {
  const interruption = new Interruption();
  const { signal } = interruption;
  let shown = "";
  try {
    for await (const { name, data } of client.follow(id, { signal })) {
      if (name === "preview" || name === "text") continue;
      const progress = name === "progress" ? data.progress : null;
      const text = statusText({
        status: name === "state" ? data.status : "running",
        progress,
        cancel_requested: false,
        waiting_for: null,
        delivery: name === "delivery" ? data : null,
      });
      if (text !== shown) note(text);
      shown = text;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    interruption.close();
  }
  return interruption.exitCode ?? null;
}
