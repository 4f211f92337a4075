import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { endWithThisProcess } from "./kill.ts";

/** A container as users start it: a process of its own that can be killed. */
export interface ContainerProcess {
  readonly pid: number;
  signal(name: NodeJS.Signals): void;
  /** Its last lines on standard error, for the message of a test that fails. */
  readonly log: () => string;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** SIGTERM; resolves with its exit code. */
  stop(): Promise<number | null>;
}

const cli = fileURLToPath(new URL("../../cli/ourvidz.js", import.meta.url));
const keptCharacters = 20_000;

/**
 * Does not wait until it is up: a container that takes jobs shows it.
 * @param args of another command that runs until it is stopped
 */
export function startContainerProcess(
  env: Readonly<Record<string, string>>,
  args: readonly string[] = ["start"],
): ContainerProcess {
  const child = spawn(process.execPath, [cli, ...args], {
    env: { PATH: process.env.PATH, PORT: "0", LOG_FORMAT: "json", EXECUTOR_RESTART_MAX_SECONDS: "0.5", ...env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  endWithThisProcess(child, "SIGKILL");
  let log = "";
  child.stderr.on("data", (chunk: Buffer) => {
    log = (log + chunk.toString()).slice(-keptCharacters);
  });
  const end = async (signal: "SIGKILL" | "SIGTERM") => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill(signal);
      await once(child, "exit");
    }
    return child.exitCode;
  };
  return {
    pid: child.pid ?? 0,
    signal: (name) => void child.kill(name),
    log: () => log,
    async kill() {
      await end("SIGKILL");
    },
    stop: () => end("SIGTERM"),
  };
}
