import type { HandlerLog } from "#contract/handler.ts";
import { safeJson, shortText } from "#contract/plain-json.ts";
import type { Logger } from "#runtime/observe/log.ts";

const maxCharacters = 8000;

/** An error as it goes into the log, whatever was thrown. Never throws. */
export function loggedError(error: unknown): unknown {
  try {
    if (!(error instanceof Error)) return safeJson(error);
    const shown = safeJson({ ...error, message: shortText(error.message, maxCharacters) });
    const stack = shortText(String(error.stack), maxCharacters);
    return typeof shown === "object" ? { type: error.name, ...shown, stack } : shown;
  } catch {
    return "[cannot be read]";
  }
}

/** A handler's log: a line that cannot be written as it is must not end the attempt, or the process. */
export function handlerLog(log: Logger): HandlerLog {
  const write =
    (level: keyof HandlerLog) =>
    (fields: Readonly<Record<string, unknown>>, message: string): void => {
      const text = safeJson(message);
      log[level](safeFields(fields), shortText(typeof text === "string" ? text : JSON.stringify(text), maxCharacters));
    };
  return { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") };
}

function safeFields(fields: unknown): object {
  const safe = safeJson(fields);
  if (typeof safe !== "object" || safe === null) return { value: safe };
  return Object.fromEntries(
    Object.entries(safe).map(([name, value]) => {
      const error = errorIn(fields, name);
      return [name, error === null ? value : loggedError(error)];
    }),
  );
}

function errorIn(fields: unknown, name: string): Error | null {
  try {
    const value: unknown = typeof fields === "object" && fields !== null ? Reflect.get(fields, name) : null;
    return value instanceof Error ? value : null;
  } catch {
    return null;
  }
}
