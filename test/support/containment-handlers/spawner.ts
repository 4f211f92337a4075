import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { appendFile, readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import { defineHandler } from "#contract/handler.ts";
import { jobEnvelope } from "#contract/job.ts";

/** Ignores what may be ignored, and starts a program that runs for ever: `$0` is the file that it looks at. */
const shell = `trap "" TERM INT HUP; tail -f "$0"; true`;

const parameters = z.object({
  /** The programs look at it, and so their command lines name it; the executor's pid is written into it. */
  file: z.string(),
  ending: z.enum(["block", "obey", "exit", "throw", "return"]),
});

/** Spawns programs in every way in which they might outlive it, and ends, or does not, as it is told. */
export default defineHandler({
  type: "spawner",
  worker: "test",
  produces: "nothing",
  input: jobEnvelope,
  parameters,
  retry: { maxAttempts: 2, timeoutSeconds: 60, backoffSeconds: 0.05 },
  async run(_job, ctx) {
    const { file, ending } = await ctx.parameters();
    const isFirst = (await readFile(file, "utf8")) === "";
    await appendFile(file, `${process.pid}\n`);
    if (!isFirst) return {};
    const stdio = "ignore";
    const children = [
      spawn("sh", ["-c", shell, file], { stdio }),
      spawn("sh", ["-c", shell, file], { stdio, detached: true }),
      spawn("sh", ["-c", shell, file], { stdio, env: { PATH: process.env.PATH } }),
      // It leaves its parent, the session and the group.
      spawn("sh", ["-c", `setsid sh -c '${shell}' "$0" &`, file], { stdio }),
      // And the environment.
      spawn("sh", ["-c", `env -i PATH="$PATH" setsid sh -c '${shell}' "$0" &`, file], { stdio }),
    ];
    await Promise.all(children.map((child) => once(child, "spawn")));
    await pause(200);
    ctx.progress(1, 2);
    if (ending === "block") writeFileSync(`${file}.blocked`, "");
    if (ending === "block") for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
    if (ending === "exit") process.exit(7);
    if (ending === "throw") throw new Error("something is wrong");
    if (ending === "obey") await pause(600_000, undefined, { signal: ctx.signal });
    return {};
  },
});
