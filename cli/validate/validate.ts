import { runChecks } from "#runtime/check/checks.ts";
import type { Check } from "#runtime/check/tried.ts";
import { exitCodes } from "../errors.ts";
import { printResult } from "../output.ts";
import { type GlobalOptions, readSettings } from "../settings.ts";
import { table } from "../table.ts";

/** The body of `ourvidz validate`. */
export async function validate(options: GlobalOptions): Promise<number> {
  const checks = await runChecks(() => readSettings(options, { serves: true }));
  const valid = checks.every(({ status }) => status !== "failed");
  printResult(options, { status: valid ? "valid" : "invalid", checks }, checkTable(checks));
  return valid ? exitCodes.completed : exitCodes.failed;
}

function checkTable(checks: readonly Check[]): string {
  return table(checks, [
    { title: "STATUS", value: ({ status }) => status, status: true },
    { title: "CHECK", value: ({ name }) => name },
    { title: "", value: ({ message }) => message, whole: true },
  ]);
}
