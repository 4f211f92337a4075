import { z } from "zod";
import { type AttemptLog, attemptLog, boundedLog } from "#contract/attempt-log.ts";
import type { Keys } from "#contract/queue-keys.ts";
import type { RestClient } from "./rest-client.ts";

const logAnswer = z.union([z.tuple([]), z.tuple([z.string()])]);

export async function keepLog(client: RestClient, keys: Keys, keepSeconds: number, log: AttemptLog): Promise<void> {
  const args = [String(log.attempt), String(log.run ?? 1), JSON.stringify(boundedLog(log)), String(keepSeconds * 1000)];
  await client.run("keep-log", { keys: [keys.logs(log.job_id), keys.job(log.job_id)], args });
}

export async function readLog(
  client: RestClient,
  keys: Keys,
  jobId: string,
  attempt: number,
): Promise<AttemptLog | null> {
  const call = { keys: [keys.logs(jobId), keys.job(jobId)], args: [String(attempt)] };
  const [text] = logAnswer.parse(await client.run("read-log", call));
  return text === undefined ? null : attemptLog.parse(JSON.parse(text));
}
