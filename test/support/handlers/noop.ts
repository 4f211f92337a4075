import { appendFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import { PermanentError, RetryableError } from "#contract/errors.ts";
import { defineHandler } from "#contract/handler.ts";
import { jobEnvelope } from "#contract/job.ts";

/*
 * A job without inference, for tests of the runtime: it writes a line when it starts, takes `steps` pauses with
 * progress, hands over a small file, and can be told to misbehave.
 */
const parameters = z.object({
  steps: z.number().int().min(0).default(1),
  /** With each step it says a word. */
  speaks: z.boolean().default(false),
  step_ms: z.number().min(0).default(0),
  /** Size of the file that it hands over; by default one line. */
  asset_bytes: z.number().int().min(0).optional(),
  /** File to which "<job> <attempt>" is appended at each start. */
  trace: z.string().optional(),
  /** Attempts up to this one end as `failure` says. */
  fail_until_attempt: z.number().int().default(0),
  /** Pause that a "retryable" failure asks for. */
  retry_after_seconds: z.number().min(0).default(0.05),
  failure: z.enum(["error", "permanent", "retryable", "exit", "kill", "hang", "no_assets"]).default("error"),
});

export default defineHandler({
  type: "noop",
  worker: "test",
  produces: "text",
  input: jobEnvelope,
  parameters,
  retry: { maxAttempts: 3, timeoutSeconds: 30, backoffSeconds: 0.1 },
  async run(job, ctx) {
    const { steps, step_ms, speaks, asset_bytes, trace, fail_until_attempt, failure, retry_after_seconds } =
      await ctx.parameters();
    if (trace !== undefined) await appendFile(trace, `${job.id} ${ctx.attempt}\n`);
    for (let step = 1; step <= steps; step++) {
      await pause(step_ms, undefined, { signal: ctx.signal });
      ctx.progress(step, steps);
      if (speaks) ctx.text(word(step));
    }
    if (ctx.attempt <= fail_until_attempt) misbehave(failure, retry_after_seconds);
    const content =
      asset_bytes === undefined ? Buffer.from(`${job.id} ${job.prompt ?? ""}\n`) : Buffer.alloc(asset_bytes);
    await ctx.asset(content, {
      type: "text",
      extension: "txt",
      mimeType: "text/plain",
    });
    const text = Array.from({ length: steps }, (_, index) => word(index + 1)).join("");
    return { metadata: { steps }, ...(speaks ? { text } : {}) };
  },
});

function word(step: number): string {
  return `lake ${step}\n`;
}

function misbehave(failure: z.output<typeof parameters>["failure"], delaySeconds: number): void {
  switch (failure) {
    case "error":
      throw new Error("the handler threw an ordinary error");
    case "permanent":
      throw new PermanentError("the handler can never do this");
    case "retryable":
      throw new RetryableError("the handler wants to try again", { delaySeconds });
    case "exit":
      process.stderr.write("last words\n");
      process.exit(7);
      break;
    case "kill":
      process.kill(process.pid, "SIGKILL");
      break;
    case "hang":
      for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
    case "no_assets":
      break;
  }
}
