import { z } from "zod";
import { shortLine } from "#contract/attempt-log.ts";
import { redact } from "#contract/errors.ts";

/* A line of an executor's log is JSON, for machines that collect logs; who looks at one attempt reads it as a sentence. */

const logLine = z.looseObject({
  level: z.string(),
  time: z.string(),
  msg: z.string(),
  error: z.looseObject({ message: z.string(), stack: z.string().optional() }).optional().catch(undefined),
  frame: z.string().optional().catch(undefined),
});

/** What every line of an attempt has. */
const common = new Set([
  ...["level", "time", "msg", "error", "frame"],
  ...["executor", "pid", "job_id", "attempt", "type", "trace_id", "span_id"],
]);

/** One line of the output as the lines to show, without secrets: `12:00:01.250 info frames are drawn {"frames":81}`. */
export function readableLines(line: string): string[] {
  const parsed = line.startsWith("{") ? parsedLine(line) : undefined;
  if (parsed === undefined) return [shortLine(redact(line))];
  const { level, time, msg, error, frame } = parsed;
  const others = Object.fromEntries(Object.entries(parsed).filter(([name]) => !common.has(name)));
  const fields = Object.keys(others).length === 0 ? "" : ` ${JSON.stringify(others)}`;
  const text = [`${timeOfDay(time)} ${level} ${msg}${fields}`, error?.stack ?? error?.message, frame];
  return redact(text.filter((part) => part !== undefined).join("\n"))
    .split("\n")
    .map((each) => shortLine(each));
}

function parsedLine(line: string): z.output<typeof logLine> | undefined {
  try {
    return logLine.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}

/** `2026-11-28T12:00:01.250Z` as `12:00:01.250`, in UTC as everything that is stored. */
function timeOfDay(time: string): string {
  return /T([\d:.]+)Z$/.exec(time)?.[1] ?? time;
}
