import { access } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import { defineHandler } from "#contract/handler.ts";
import { jobEnvelope } from "#contract/job.ts";

/** Prints in every way, and ends as a test wishes. */
export default defineHandler({
  type: "print",
  worker: "test",
  produces: "nothing",
  input: jobEnvelope.extend({
    config: z.looseObject({
      lines: z.int().default(0),
      gate: z.string().optional(),
      end: z.enum(["well", "mistake", "exit"]).default("well"),
    }),
  }),
  retry: { maxAttempts: 2, timeoutSeconds: 60, backoffSeconds: 0.05 },
  async run({ config }, ctx) {
    process.stdout.write(`out of attempt ${ctx.attempt}\n`);
    process.stderr.write(`beside it: Bearer sk-abcdefghijklmnop\n`);
    ctx.log.info({ frames: 81 }, "frames are drawn");
    for (let line = 1; line <= config.lines; line++) process.stdout.write(`line ${line}\n`);
    while (config.gate !== undefined && !(await exists(config.gate)))
      await pause(10, undefined, { signal: ctx.signal });
    if (config.end === "exit") {
      process.stderr.write("last words");
      process.exit(7);
    }
    const sizes: { width?: { pixels: number } } = {};
    // @ts-expect-error what the test is about
    if (config.end === "mistake") return { metadata: { width: sizes.width.pixels } };
    process.stdout.write("without an end");
    return {};
  },
});

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
