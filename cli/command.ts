import process from "node:process";
import type { Command } from "commander";
import type { GlobalOptions } from "./settings.ts";

/**
 * Makes a command's action of a body that gets the operands and the options, its own and the global ones, and returns
 * the exit code.
 */
export function action<Options extends object = object>(
  body: (operands: readonly string[], options: Options & GlobalOptions) => Promise<number>,
): (this: Command) => Promise<void> {
  return async function (this: Command) {
    process.exitCode = await body(this.args, this.optsWithGlobals<Options & GlobalOptions>());
  };
}

/** Examples under a command's help, one a line. */
export function examples(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  ${line}`).join("\n")}`;
}
