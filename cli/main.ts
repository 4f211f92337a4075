import process from "node:process";
import { loadEnvFile } from "./env-file.ts";
import { ignoreBrokenPipes, reportError } from "./output.ts";
import { createProgram } from "./program.ts";

const printLimitMs = 1000;

/** Runs one command line (without node and the script's name) and ends the process with its exit code. */
export async function main(args: readonly string[]): Promise<void> {
  ignoreBrokenPipes();
  try {
    const program = await createProgram(args, loadEnvFile());
    await program.parseAsync(args, { from: "user" });
  } catch (error) {
    process.exitCode = reportError(error, { json: isGiven(args, "--json"), verbose: isGiven(args, "--verbose") });
  }
  // Ends also when something is left that would keep the process alive; what was printed has then been written, unless
  // nobody reads it.
  setTimeout(() => process.exit(), printLimitMs);
  process.stdout.write("", () => process.stderr.write("", () => process.exit()));
}

/** Looked up by hand: the error may be that the command line cannot be understood. */
function isGiven(args: readonly string[], option: string): boolean {
  const end = args.indexOf("--");
  return (end < 0 ? args : args.slice(0, end)).includes(option);
}
