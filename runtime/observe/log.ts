import { type Logger, pino } from "pino";
import { redact } from "#contract/errors.ts";

export type { Logger } from "pino";

export interface LogOptions {
  readonly level: string;
  readonly format: "json" | "pretty";
}

/**
 * Logs go to standard error, so that standard output stays for results. Every finished line passes through `redact`:
 * whatever a message, a field or a stack carries, tokens and signed URLs do not come out.
 */
export async function createLogger(
  options: LogOptions,
  bindings: Readonly<Record<string, unknown>> = {},
): Promise<Logger> {
  const settings = {
    level: options.level,
    base: bindings,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { error: (error: unknown) => (error instanceof Error ? pino.stdSerializers.err(error) : error) },
    hooks: { streamWrite: redact },
  };
  if (options.format === "json") return pino(settings, pino.destination({ dest: 2, sync: true }));
  const { default: pretty } = await import("pino-pretty");
  return pino(
    settings,
    pretty({
      destination: 2,
      sync: true,
      // hasColors() looks at NO_COLOR.
      colorize: process.stderr.isTTY && process.stderr.hasColors(),
      ignore: "pid,hostname",
      translateTime: "HH:MM:ss.l",
    }),
  );
}
