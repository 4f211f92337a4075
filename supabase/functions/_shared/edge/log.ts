import { redactValue } from "../redact.ts";

/** One line of JSON for each event. What a caller sent (bodies, prompts, headers) is not logged. */
export interface EdgeLog {
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
  error(fields: Readonly<Record<string, unknown>>, message: string): void;
}

/** @param always stands in every line, such as the function's name and the request's id */
export function createEdgeLog(
  always: Readonly<Record<string, unknown>>,
  write: (line: string) => void = toConsole,
): EdgeLog {
  const log = (level: string) => (fields: Readonly<Record<string, unknown>>, message: string) =>
    write(JSON.stringify(redactValue({ level, time: new Date().toISOString(), ...always, ...fields, message })));
  return { info: log("info"), warn: log("warn"), error: log("error") };
}

/** The console is where Supabase takes a function's log from. */
function toConsole(line: string): void {
  // biome-ignore lint/suspicious/noConsole: an edge function has no other log
  console.log(line);
}
