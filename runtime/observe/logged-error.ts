import { type Logger, pino } from "pino";
import { CodedError } from "#contract/errors.ts";

/**
 * An error as it goes into the log. What was foreseen (a coded error, a system's refusal, a time-out) is its sentence and
 * its causes' in one line: a stack of it says nothing, and an outage repeats it for hours. What nobody foresaw, and everything
 * at the levels debug and trace, comes with its stack.
 */
export function loggedErrorFor(log: () => Pick<Logger, "isLevelEnabled">): (error: unknown) => unknown {
  return (error) => {
    if (!(error instanceof Error)) return error;
    if (!isForeseen(error) || log().isLevelEnabled("debug")) return pino.stdSerializers.err(error);
    const { message, cause } = error;
    const details = error instanceof CodedError && error.details !== undefined ? { details: error.details } : {};
    const causes = causesOf(cause);
    return { ...codeOf(error), message, ...details, ...(causes.length === 0 ? {} : { cause: causes.join(": ") }) };
  };
}

/** What can only be a mistake in code although it has a code. */
const unforeseenCodes = new Set(["INTERNAL", "HANDLER_FAILED", "HANDLER_INVALID"]);

function isForeseen(error: Error): boolean {
  if (error instanceof CodedError) return !unforeseenCodes.has(error.code);
  // Node's own names for what the system, a peer or a limit refused: ECONNREFUSED, UND_ERR_SOCKET, AbortError.
  return "syscall" in error || /^(?:E[A-Z]+|UND_ERR_\w+)$/.test(codeOf(error).code) || error.name === "TimeoutError";
}

function codeOf(error: Error): { readonly code: string } {
  return { code: "code" in error && typeof error.code === "string" ? error.code : error.name };
}

const maxCauses = 5;

function causesOf(cause: unknown): string[] {
  const causes: string[] = [];
  for (let one = cause; one instanceof Error && causes.length < maxCauses; one = one.cause) {
    // Several addresses of one host were tried: the first stands for all.
    const first: unknown = one instanceof AggregateError ? one.errors[0] : one;
    const text = first instanceof Error ? first.message : one.message;
    if (text !== "" && causes.at(-1) !== text) causes.push(text);
  }
  return causes;
}
