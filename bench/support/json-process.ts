import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { z } from "zod";

export interface Launch {
  /** What runs the script; by default this Node.js. */
  readonly interpreter?: string;
  /** Beside this process's own environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A script in a process of its own that answers in lines of JSON and ends with its standard input. */
export class JsonProcess {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  /** @param script relative to this folder */
  constructor(script: string, args: readonly string[] = [], { interpreter = process.execPath, env = {} }: Launch = {}) {
    const path = fileURLToPath(new URL(script, import.meta.url));
    const child = spawn(interpreter, [path, ...args], {
      stdio: ["pipe", "pipe", "inherit"],
      env: { ...process.env, ...env },
    });
    this.#child = child;
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  async next<Line>(schema: z.ZodType<Line>): Promise<Line> {
    const line = await this.#lines.next();
    if (line.done) throw new Error("the process ended before it answered");
    return schema.parse(JSON.parse(line.value));
  }

  send(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  async end(): Promise<void> {
    this.#child.stdin?.end();
    if (this.#child.exitCode === null) await once(this.#child, "exit");
  }
}
