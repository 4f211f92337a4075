import { z } from "zod";

/*
 * A log line as RunPod's console reads it: the message is `message`, of a bounded length, and what is about a job has
 * `requestId`, RunPod's id, by which the console finds a request's lines.
 */
const maxMessageCharacters = 4096;
const gap = " … ";

/** A handler logs what it likes under any name. */
const name = z.string().optional().catch(undefined);
const logged = z.looseObject({ msg: z.string().catch(""), requestId: name, runpod_id: name, job_id: name });

/** @param line JSON, and a line break */
export function runpodLine(line: string): string {
  const { msg, requestId, ...rest } = logged.parse(JSON.parse(line));
  // A job that was given no id of its own has RunPod's.
  const id = requestId ?? rest.runpod_id ?? rest.job_id;
  return `${JSON.stringify({ ...(id === undefined ? {} : { requestId: id }), message: shortened(msg), ...rest })}\n`;
}

/** What is too long lacks its middle: how it begins and how it ends says the most. */
function shortened(text: string): string {
  if (text.length <= maxMessageCharacters) return text;
  const kept = maxMessageCharacters - gap.length;
  return text.slice(0, Math.ceil(kept / 2)) + gap + text.slice(text.length - Math.floor(kept / 2));
}
