import { appendFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import { PermanentError, RetryableError } from "#contract/errors.ts";
import { defineHandler } from "#contract/handler.ts";
import { jobEnvelope } from "#contract/job.ts";

/** A language model without a model: it answers its prompt, a piece at a time, and misbehaves on request. */
export default defineHandler({
  type: "reply",
  worker: "chat",
  produces: "text",
  input: jobEnvelope,
  parameters: z.object({
    pieces: z.int().min(0).default(2),
    piece_ms: z.number().min(0).default(0),
    /** Characters of each piece. */
    size: z.int().min(1).default(4),
    /** File to which the user and prompt are appended when it runs, and when it is stopped. */
    trace: z.string().optional(),
    failure: z.enum(["permanent", "retryable", "model", "kill", "hang", "enqueue", "asset"]).optional(),
  }),
  retry: { maxAttempts: 1, timeoutSeconds: 60 },
  async run(job, ctx) {
    const { pieces, piece_ms, size, trace, failure } = await ctx.parameters();
    const note = async (what: string) => {
      if (trace !== undefined) await appendFile(trace, `${what}\n`);
    };
    await note(`${job.user_id} ${job.prompt}`);
    ctx.log.info({}, "replying");
    ctx.stage({ name: "generate", seconds: 0.01 });
    let text = "";
    for (let piece = 0; piece < pieces; piece++) {
      await pause(piece_ms, undefined, { signal: ctx.signal }).catch(async (error: unknown) => {
        await note(`stopped ${job.prompt}`);
        throw error;
      });
      const delta = `${piece}`.padStart(size, ".");
      text += delta;
      ctx.text(delta);
    }
    if (failure === "permanent") throw new PermanentError("I never answer that", { code: "POLICY_REFUSED" });
    if (failure === "retryable") throw new RetryableError("I am out of words", { delaySeconds: 7 });
    if (failure === "model") throw new PermanentError("no words in this model", { code: "MODEL_INVALID" });
    if (failure === "kill") process.kill(process.pid, "SIGKILL");
    if (failure === "hang") for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
    if (failure === "enqueue") await ctx.enqueue({ type: "reply" });
    const asset = { type: "text", extension: "txt", mimeType: "text/plain" } as const;
    if (failure === "asset") await ctx.asset(Buffer.from(text), asset);
    return { text, metadata: { prompt: job.prompt, user: job.user_id, job_id: ctx.jobId } };
  },
});
