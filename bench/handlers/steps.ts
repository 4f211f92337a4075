import { appendFileSync } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";
import { z } from "zod";
import { defineHandler } from "#contract/handler.ts";
import { jobEnvelope } from "#contract/job.ts";

const parameters = z.object({
  steps: z.number().int().min(1),
  step_ms: z.number().int().min(0),
  /** File to which "<job> step|end <milliseconds since 1970>" is appended. */
  trace: z.string(),
});
const asleep = new Int32Array(new SharedArrayBuffer(4));

/** As onnxruntime's `session.run`: computes on the calling thread, and resolves in a later turn. */
async function infer(ms: number): Promise<void> {
  Atomics.wait(asleep, 0, 0, ms);
  await nextTurn();
}

/** Steps as a denoiser has them: during each the process does nothing else, and between two messages come in. */
export default defineHandler({
  type: "steps",
  worker: "bench",
  produces: "nothing",
  input: jobEnvelope,
  parameters,
  retry: { maxAttempts: 1, timeoutSeconds: 600 },
  async run(job, ctx) {
    const { steps, step_ms, trace } = await ctx.parameters();
    const note = (what: string) => appendFileSync(trace, `${job.id} ${what} ${Date.now()}\n`);
    try {
      for (let step = 1; step <= steps; step++) {
        ctx.signal.throwIfAborted();
        note("step");
        await infer(step_ms);
        ctx.progress(step, steps);
        await nextTurn();
      }
    } finally {
      note("end");
    }
    return {};
  },
});
