import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { ExecutorSettings } from "../protocol.ts";
import { executorEnvironment } from "./executor-environment.ts";

const entry = fileURLToPath(new URL("../child/child.ts", import.meta.url));

/** A new executor process. @throws the system's error when it has no process to give */
export function forkExecutor(settings: ExecutorSettings): ChildProcess {
  return fork(entry, [JSON.stringify(settings)], {
    serialization: "advanced",
    // A process group of its own: Ctrl-C in a terminal reaches the dispatcher alone, which then stops its executors in order.
    detached: true,
    // biome-ignore lint/style/noProcessEnv: nothing is read from it here; it is handed on, without what is secret
    env: executorEnvironment(process.env),
    // What a handler or a native library prints is no result: the command's standard output stays one JSON document.
    stdio: ["ignore", process.stderr.fd, "pipe", "ipc"],
  });
}

const keptCharacters = 4096;

/** The last lines that a process wrote to standard error, which are the dispatcher's own lines too. */
export class LastOutput {
  #text = "";

  readonly add = (chunk: Buffer): void => {
    this.#text = (this.#text + chunk.toString("utf8")).slice(-keptCharacters);
    process.stderr.write(chunk);
  };

  get text(): string {
    return this.#text.trim();
  }

  clear(): void {
    this.#text = "";
  }
}
