/*
 * What `ourvidz new-handler` writes. The result is a handler as a person would begin one: it runs, its test runs, and
 * both pass lint and type check as they are.
 */
export interface HandlerTemplate {
  readonly type: string;
  readonly worker: string;
  /** How files of the contract are imported: `#contract`, or a path for a folder outside the project. */
  readonly contract: string;
}

export function handlerSource({ type, worker, contract }: HandlerTemplate): string {
  return `import { setImmediate as nextTurn } from "node:timers/promises";
import { promptText } from "${contract}/fields.ts";
import { defineHandler } from "${contract}/handler.ts";
import { jobEnvelope } from "${contract}/job.ts";

const steps = 3;

/** Writes its prompt into a text file, a step at a time. */
export default defineHandler({
  type: "${type}",
  worker: "${worker}",
  produces: "text",
  description: "Writes its prompt into a text file.",
  // What a job must look like: one that does not is refused before it runs. The type of \`job\` below comes from it.
  input: jobEnvelope.extend({ prompt: promptText }),
  retry: { maxAttempts: 3, timeoutSeconds: 60 },
  async run(job, ctx) {
    const lines: string[] = [];
    for (let step = 1; step <= steps; step++) {
      // Between steps the job can be cancelled, time out, or be given back when the container stops.
      await nextTurn(undefined, { signal: ctx.signal });
      lines.push(\`\${step}: \${job.prompt}\`);
      ctx.progress(step, steps);
    }
    const bytes = new TextEncoder().encode(\`\${lines.join("\\n")}\\n\`);
    await ctx.asset(bytes, { type: "text", extension: "txt", mimeType: "text/plain" });
    return { metadata: { lines: lines.length } };
  },
});
`;
}

export function handlerTestSource({ type, contract }: Pick<HandlerTemplate, "type" | "contract">): string {
  return `import { expect, test } from "vitest";
import type { HandlerContext } from "${contract}/handler.ts";
import handler from "./${type}.ts";

const job = { id: "job-1", type: "${type}", prompt: "hello" };

/** A context that keeps what the handler hands over. */
function recordingContext(signal = new AbortController().signal) {
  const files: string[] = [];
  const steps: string[] = [];
  const unused = () => Promise.reject(new Error("the handler is not expected to use this"));
  const ctx: HandlerContext = {
    jobId: job.id,
    attempt: 1,
    signal,
    log: { debug() {}, info() {}, warn() {}, error() {} },
    progress: (step, total) => steps.push(\`\${step}/\${total}\`),
    stage() {},
    asset: async (content) => {
      if (content instanceof Uint8Array) files.push(new TextDecoder().decode(content));
    },
    parameters: unused,
    model: unused,
    input: unused,
    run: unused,
    enqueue: unused,
  };
  return { ctx, files, steps };
}

test("writes the prompt, a line for each step", async () => {
  const { ctx, files, steps } = recordingContext();
  await expect(handler.run(handler.input.parse(job), ctx)).resolves.toEqual({ metadata: { lines: 3 } });
  expect(files).toEqual(["1: hello\\n2: hello\\n3: hello\\n"]);
  expect(steps).toEqual(["1/3", "2/3", "3/3"]);
});

test("refuses a job without a prompt", () => {
  expect(handler.input.safeParse({ ...job, prompt: " " }).success).toBe(false);
});

test("stops when it is aborted, without a file", async () => {
  const { ctx, files } = recordingContext(AbortSignal.abort());
  await expect(handler.run(handler.input.parse(job), ctx)).rejects.toThrow();
  expect(files).toEqual([]);
});
`;
}
