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
import { promptText, wholeNumberFrom } from "${contract}/fields.ts";
import { defineHandler, z } from "${contract}/handler.ts";
import { jobEnvelope } from "${contract}/job.ts";

/** Writes its prompt into a text file, a line at a time. */
export default defineHandler({
  type: "${type}",
  worker: "${worker}",
  produces: "text",
  description: "Writes its prompt into a text file.",
  // What a job must look like: one that does not is refused before it runs. The type of \`job\` below comes from it.
  input: jobEnvelope.extend({ prompt: promptText }),
  // What is read from its \`config\`, with ranges and defaults: checked, shown in forms, and resolved by ctx.parameters().
  parameters: z.object({ lines: wholeNumberFrom(1, 100).default(3) }),
  retry: { maxAttempts: 3, timeoutSeconds: 60 },
  async run(job, ctx) {
    const { lines } = await ctx.parameters();
    const texts: string[] = [];
    for (let line = 1; line <= lines; line++) {
      // Between steps the job can be cancelled, time out, or be given back when the container stops.
      await nextTurn(undefined, { signal: ctx.signal });
      texts.push(\`\${line}: \${job.prompt}\`);
      ctx.progress(line, lines);
    }
    const bytes = new TextEncoder().encode(\`\${texts.join("\\n")}\\n\`);
    await ctx.asset(bytes, { type: "text", extension: "txt", mimeType: "text/plain" });
    return { metadata: { lines } };
  },
});
`;
}

export function handlerTestSource({ type, contract }: Pick<HandlerTemplate, "type" | "contract">): string {
  return `import { expect, test } from "vitest";
import { checkJob } from "${contract}/check-job.ts";
import handler from "./${type}.ts";

const job = { id: "job-1", type: "${type}", prompt: "hello" };

/** A context that keeps what the handler hands over. */
function recordingContext(lines: number, signal = new AbortController().signal) {
  const files: string[] = [];
  const steps: string[] = [];
  const unused = () => Promise.reject(new Error("the handler is not expected to use this"));
  const ctx: Parameters<typeof handler.run>[1] = {
    jobId: job.id,
    attempt: 1,
    signal,
    cacheFolder: "cache",
    log: { debug() {}, info() {}, warn() {}, error() {} },
    progress: (step, total) => steps.push(\`\${step}/\${total}\`),
    stage() {},
    asset: async (content) => {
      if (content instanceof Uint8Array) files.push(new TextDecoder().decode(content));
    },
    parameters: async () => ({ lines }),
    model: unused,
    input: unused,
    lora: unused,
    presets: unused,
    session: unused,
    remember: unused,
    scratch: unused,
    run: unused,
    call: unused,
    text: () => undefined,
    enqueue: unused,
  };
  return { ctx, files, steps };
}

test("writes the prompt, as many lines as asked", async () => {
  const { ctx, files, steps } = recordingContext(2);
  await expect(handler.run(handler.input.parse(job), ctx)).resolves.toEqual({ metadata: { lines: 2 } });
  expect(files).toEqual(["1: hello\\n2: hello\\n"]);
  expect(steps).toEqual(["1/2", "2/2"]);
});

test.each([
  ["prompt", { prompt: " " }],
  ["config.lines", { config: { lines: 101 } }],
])("refuses a job with a wrong %s", (field, wrong) => {
  expect(checkJob(handler, { ...job, ...wrong })).toMatchObject({ ok: false, problems: [{ field }] });
});

test("stops when it is aborted, without a file", async () => {
  const { ctx, files } = recordingContext(2, AbortSignal.abort());
  await expect(handler.run(handler.input.parse(job), ctx)).rejects.toThrow();
  expect(files).toEqual([]);
});
`;
}
