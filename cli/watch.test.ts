import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test, vi } from "vitest";
import { z } from "zod";
import { OurvidzClient } from "#client/client.ts";
import { type CliProcess, startCli, temporaryFolder } from "./testing/run-cli.ts";

/* What the author of a handler does with `npm run dev`: save, look, save. */

vi.setConfig({ testTimeout: 60_000 });

const contract = (file: string) =>
  JSON.stringify(fileURLToPath(new URL(`../supabase/functions/_shared/${file}`, import.meta.url)));

/** What the handler imports: what it says, and how often it may. */
const words = (word: string, max: number) => `
import { z } from ${contract("handler.ts")};
export const word = ${JSON.stringify(word)};
export const parameters = z.object({ times: z.int().min(1).max(${max}).default(1) });
`;

const echo = `
import { access } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { defineHandler } from ${contract("handler.ts")};
import { jobEnvelope } from ${contract("job.ts")};
import { parameters, word } from "./shared/words.ts";
export default defineHandler({
  type: "echo", worker: "media", produces: "text", input: jobEnvelope, parameters,
  retry: { maxAttempts: 1, timeoutSeconds: 60 },
  async run(job, ctx) {
    const { times } = await ctx.parameters();
    ctx.progress(1, 2);
    const { gate } = job.metadata;
    while (typeof gate === "string" && !(await access(gate).then(() => true, () => false)))
      await pause(20, undefined, { signal: ctx.signal });
    return { text: word.repeat(times) };
  },
});
`;

let folder: string;
let container: CliProcess;
let client: OurvidzClient;
const save = (name: string, text: string) => writeFile(join(folder, "handlers", name), text);

beforeAll(async () => {
  folder = await temporaryFolder();
  await mkdir(join(folder, "handlers/shared"), { recursive: true });
  await save("echo.ts", echo);
  await save("shared/words.ts", words("one", 2));
  container = startCli(folder, ["start", "--watch", "--port", "0", "--handlers", join(folder, "handlers")]);
  let output = "";
  container.child.stdout?.on("data", (chunk: string) => {
    output += chunk;
  });
  await container.seen(/listening on http:\S+\n/);
  client = new OurvidzClient({ url: /http:\S+/.exec(output)?.[0] ?? "" });
}, 60_000);

async function says(times = 1): Promise<string | null> {
  const { text } = z
    .object({ text: z.string().nullable() })
    .parse(await client.generate({ type: "echo", config: { times } }));
  return text;
}

test("a change of what a handler imports is run by the next job, and the running one is not lost", async () => {
  expect(await says()).toBe("one");
  const gate = join(folder, "gate");
  const { job_id } = await client.enqueue({ type: "echo", metadata: { gate } });
  await expect.poll(async () => (await client.job(job_id)).progress, { timeout: 15_000 }).toBe(0.5);
  await save("shared/words.ts", words("two", 3));
  await container.seen("a handler was loaded anew");
  expect((await client.job(job_id)).status).toBe("running");
  await writeFile(gate, "");
  expect(await says()).toBe("two");
  expect(await client.job(job_id)).toMatchObject({ status: "completed", text: "one", attempt: 1 });
});

test("the schemas that jobs are checked by are read anew", async () => {
  expect(await says(3)).toBe("twotwotwo");
  await save("shared/words.ts", words("three", 1));
  await expect
    .poll(() => says(2).catch((error: Error) => error.message), { timeout: 15_000 })
    .toContain("must be at most 1");
});

test("a mistake is shown where it is, and gone when it is mended", async () => {
  await save("shared/words.ts", "export const word = ;\n");
  await container.seen("> 1 | export const word = ;\n    |                     ^");
  await save("shared/words.ts", words("four", 1));
  await expect.poll(() => says().catch(() => null), { timeout: 15_000 }).toBe("four");
});
