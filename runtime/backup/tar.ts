import { spawn } from "node:child_process";
import { once } from "node:events";
import { CodedError } from "#contract/errors.ts";

const keptCharacters = 2000;

/** The system's program, which every distribution has. @throws CodedError DISK_FULL, INTERNAL with its last words */
export async function tar(args: readonly string[]): Promise<string> {
  const child = spawn("tar", [...args], { stdio: ["ignore", "pipe", "pipe"] });
  const output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const)
    child[name].setEncoding("utf8").on("data", (text: string) => {
      output[name] = (output[name] + text).slice(-keptCharacters);
    });
  const [code] = await once(child, "close").catch((cause: unknown) => {
    throw new CodedError("INTERNAL", "The program tar cannot be run: install it, and try again.", { cause });
  });
  if (code === 0) return output.stdout;
  const said = output.stderr.trim().split("\n").slice(-2).join("; ");
  if (/No space left on device/.test(said)) throw new CodedError("DISK_FULL", `The disk is full: ${said}`);
  throw new CodedError("INVALID_REQUEST", `tar ended with code ${code}: ${said}`);
}
