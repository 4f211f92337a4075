import { spawn } from "node:child_process";
import { once } from "node:events";
import { CodedError } from "#contract/errors.ts";

const keptCharacters = 2000;

/**
 * Unpacks an archive with the system's program, which every distribution has. It has ended when this returns or throws.
 * @throws CodedError DISK_FULL, INTERNAL without tar, INVALID_REQUEST with its last words; the signal's reason
 */
export async function unpack(archive: string, folder: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  // In a group of its own: a terminal's Ctrl-C reaches it through the signal alone.
  const options = { stdio: ["ignore", "ignore", "pipe"], detached: true } satisfies Parameters<typeof spawn>[2];
  const child = spawn("tar", ["-xf", archive, "-C", folder, "--no-same-owner"], options);
  const kill = () => child.kill("SIGKILL");
  signal.addEventListener("abort", kill, { once: true });
  let stderr = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(-keptCharacters);
  });
  const [code] = await once(child, "close").catch((cause: unknown) => {
    throw new CodedError("INTERNAL", "The program tar cannot be run: install it, and try again.", { cause });
  });
  signal.removeEventListener("abort", kill);
  signal.throwIfAborted();
  if (code === 0) return;
  const lastLines = stderr.trim().split("\n").slice(-2).join("; ");
  if (/No space left on device/.test(lastLines)) throw new CodedError("DISK_FULL", `The disk is full: ${lastLines}`);
  throw new CodedError(
    "INVALID_REQUEST",
    `${archive} cannot be unpacked: it is damaged, or no archive (${lastLines}). Nothing was restored.`,
  );
}
