import process from "node:process";
import { styleText } from "node:util";
import { redact } from "#contract/errors.ts";
import type { UnreadFields } from "#contract/unread-fields.ts";
import { printable, printableJson } from "#runtime/observe/printable.ts";
import { exitCodes, toFailure } from "./errors.ts";

/*
 * What the command prints. Results go to standard output, as text or as one JSON document; everything else (progress,
 * notes, errors, logs) goes to standard error. What users and handlers wrote cannot steer the terminal. Colours only on a terminal and without NO_COLOR: `styleText` looks.
 */
export interface OutputOptions {
  readonly json?: boolean;
  readonly verbose?: boolean;
}

/** Prints the result: `value` with --json, else `text`, which may have several lines and may be empty. */
export function printResult(options: OutputOptions, value: unknown, text: string): void {
  const output = options.json ? printableJson(JSON.stringify(value)) : printable(text);
  if (output !== "") process.stdout.write(`${output}\n`);
}

/** Shows the person at the terminal something that is no result. */
export function note(text: string): void {
  process.stderr.write(`${printable(text)}\n`);
}

/** Says which fields of a job nothing reads, and which were probably meant; with --json they are in the result. */
export function noteIgnored(
  { json }: OutputOptions,
  { ignored, ignored_more: more, did_you_mean: meant = {} }: UnreadFields,
): void {
  if (ignored.length === 0 || json) return;
  const names = ignored.map((name) => (meant[name] === undefined ? name : `${name} (did you mean ${meant[name]}?)`));
  note(
    `ignored, as nothing reads ${ignored.length === 1 ? "it" : "them"}: ${names.join(", ")}${more === undefined ? "" : ` and ${more} more`}`,
  );
}

/** Prints the error in the requested form and returns the exit code. */
export function reportError(error: unknown, options: OutputOptions): number {
  const failure = toFailure(error);
  if (failure === null) return exitCodes.completed;
  if (options.json) process.stdout.write(`${printableJson(JSON.stringify({ error: failure.report }))}\n`);
  else note(`${bad("error:")} ${failure.report.message}`);
  if (options.verbose && failure.stack !== undefined) note(redact(failure.stack));
  return failure.exitCode;
}

/** A reader that goes away (`| head`) is no error: what it did not want is not written. */
export function ignoreBrokenPipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
    });
  }
}

export function bad(text: string): string {
  return styleText("red", text, { stream: process.stderr });
}

const states: Readonly<Record<string, "green" | "red" | "yellow" | "cyan">> = {
  completed: "green",
  ok: "green",
  failed: "red",
  cancelled: "yellow",
  warning: "yellow",
  running: "cyan",
};

/** A status, with whatever stands beside it (`running 40 %`), in its colour, for standard output. */
export function coloured(status: string): string {
  const colour = states[status.split(" ", 1)[0] ?? ""];
  return colour === undefined ? status : styleText(colour, status, { stream: process.stdout });
}

export function bold(text: string): string {
  return styleText("bold", text, { stream: process.stdout });
}

/** One line that is safe to print: a prompt may hold line breaks, or codes that would steer the terminal. */
export function oneLine(text: string): string {
  return text
    .replaceAll(/[\p{Cc}\u2028\u2029]+/gu, " ")
    .replaceAll(/\p{Bidi_Control}/gu, "")
    .trim();
}
