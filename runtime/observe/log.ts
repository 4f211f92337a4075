import { type Logger, pino } from "pino";
import { redact } from "#contract/errors.ts";
import { loggedErrorFor } from "./logged-error.ts";
import { printable, printableJson } from "./printable.ts";
import { runpodLine } from "./runpod-line.ts";
import { type BoundedOutput, standardError } from "./standard-error.ts";

export type { Logger } from "pino";

/** `runpod`: JSON in the fields by which its console finds the lines of a request. */
export type LogFormat = "json" | "pretty" | "runpod";

export interface LogOptions {
  readonly level: string;
  readonly format: LogFormat;
}

/**
 * Logs go to standard error, so that standard output stays for results; never waiting for its reader
 * (standard-error.ts). Every finished line passes through `redact`: whatever a message, a field or a stack carries, tokens
 * and signed URLs do not come out.
 */
export async function createLogger(
  options: LogOptions,
  bindings: Readonly<Record<string, unknown>> = {},
  output: Pick<BoundedOutput, "write" | "dropped"> = standardError(),
): Promise<Logger> {
  const format = await formatOf(options.format);
  let missing = 0;
  const log: Logger = pino(
    {
      level: options.level,
      base: bindings,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label: string) => ({ level: label }) },
      serializers: { error: loggedErrorFor(() => log) },
      hooks: { streamWrite: redact },
    },
    {
      write(line: string) {
        if (!output.write(format(line))) {
          missing++;
        } else if (missing > 0) {
          const lines = missing;
          missing = 0;
          log.warn({ lines }, "log lines are missing before this one: nobody had read them");
        }
      },
    },
  );
  return log;
}

async function formatOf(name: LogFormat): Promise<(line: string) => string> {
  if (name === "pretty") return await prettyFormat();
  return name === "json" ? printableJson : (line) => printableJson(runpodLine(line));
}

async function prettyFormat(): Promise<(line: string) => string> {
  const { prettyFactory } = await import("pino-pretty");
  const format = prettyFactory({
    // hasColors() looks at NO_COLOR.
    colorize: process.stderr.isTTY && process.stderr.hasColors(),
    ignore: "pid,hostname",
    singleLine: true,
    translateTime: "HH:MM:ss.l",
  });
  return (line) => printable(format(line));
}
