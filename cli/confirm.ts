import process from "node:process";
import { createInterface } from "node:readline/promises";
import type { OutputOptions } from "./output.ts";

/** Whether there is a person at a terminal who can be asked. */
export function canAsk({ json }: OutputOptions): boolean {
  return json !== true && process.stdin.isTTY && process.stderr.isTTY;
}

/** Asks a question to which "y" is yes and everything else no. */
export async function confirm(question: string): Promise<boolean> {
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await prompt.question(`${question} [y/N] `);
  prompt.close();
  return /^y(es)?$/i.test(answer.trim());
}
