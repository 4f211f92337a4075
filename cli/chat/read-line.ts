import process from "node:process";
import { createInterface } from "node:readline";

const prompt = "> ";

/**
 * The next line of the terminal. It is read character by character only meanwhile: while an answer is made, Ctrl-C is the
 * system's again.
 *
 * @param signal ends the reading
 * @returns `over` at the end of the input (Ctrl-D)
 */
export async function readLine(signal: AbortSignal): Promise<{ readonly text: string } | "over" | "interrupted"> {
  if (signal.aborted) return "interrupted";
  const terminal = createInterface({ input: process.stdin, output: process.stderr, prompt, signal });
  const { promise, resolve } = Promise.withResolvers<{ readonly text: string } | "over" | "interrupted">();
  terminal.once("line", (text) => resolve({ text }));
  terminal.once("SIGINT", () => resolve("interrupted"));
  terminal.once("close", () => resolve(signal.aborted ? "interrupted" : "over"));
  terminal.prompt();
  const line = await promise;
  terminal.close();
  // What has been left out of its line.
  if (typeof line === "string") process.stderr.write("\n");
  return line;
}
