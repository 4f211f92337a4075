import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { testHandlers } from "#test/support/runtime.ts";
import { loadHandler, loadHandlers } from "./registry.ts";

const zod = fileURLToPath(import.meta.resolve("zod"));
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ourvidz-handlers-"));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

function handler(type: string, changes = ""): string {
  return `import { z } from ${JSON.stringify(zod)};
    export default { type: "${type}", worker: "media", produces: "nothing", input: z.any(), retry: { maxAttempts: 1, timeoutSeconds: 5 }, run: async () => ({}), ${changes} };`;
}

describe("loadHandlers", () => {
  it("finds one job type in each file and leaves tests alone", async () => {
    const registry = await loadHandlers(testHandlers);
    expect(registry.types).toEqual(["elsewhere", "grandparent", "noop", "parent", "stubborn"]);
    expect(registry.workers).toEqual(["other", "test"]);
    await writeFile(join(folder, "sort_shells.ts"), handler("sort_shells"));
    await writeFile(join(folder, "sort_shells.test.ts"), "throw new Error('a test is not a handler')");
    expect((await loadHandlers(folder)).types).toEqual(["sort_shells"]);
  });

  it("names every bad file and what is wrong with it when none works", async () => {
    await writeFile(join(folder, "sort_shells.ts"), handler("sort_stones"));
    await writeFile(
      join(folder, "count_birds.ts"),
      handler("count_birds", "retry: { maxAttempts: 0, timeoutSeconds: 5 }"),
    );
    await writeFile(join(folder, "weigh_stones.ts"), "export const run = 1;");
    await writeFile(join(folder, "broken.ts"), "export default {{");
    const failure = await loadHandlers(folder).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "HANDLER_INVALID" });
    const message = failure instanceof Error ? failure.message : "";
    expect(message).toMatch(/sort_shells\.ts: its type is "sort_stones", so the file must be called sort_stones\.ts/);
    expect(message).toMatch(/count_birds\.ts: retry\.maxAttempts/);
    expect(message).toMatch(/weigh_stones\.ts: its default export must be defineHandler/);
    expect(message).toMatch(/broken\.ts:1:17: Unexpected token/);
  });

  it("says of a field that is missing what it must be", async () => {
    await writeFile(join(folder, "good.ts"), handler("good"));
    await writeFile(join(folder, "paint.ts"), 'export default { type: "paint", worker: "media", produces: "film" };');
    expect((await loadHandlers(folder)).problems.map(({ problem }) => problem)).toEqual([
      `${join(folder, "paint.ts")}: produces is "film": must be "image", "video", "text" or "nothing"; ` +
        "input is missing: must be a zod schema; retry is missing: must be { maxAttempts, timeoutSeconds }; " +
        "run is missing: must be a function (job, ctx) => Promise<JobOutput>",
    ]);
  });

  it("refuses defaults that the parameters do not have, or do not allow", async () => {
    const parameters = "parameters: z.object({ stripes: z.number().max(64), width: z.number().optional() })";
    await writeFile(join(folder, "bare.ts"), handler("bare", "defaults: { stripes: 8 }"));
    await writeFile(join(folder, "typo.ts"), handler("typo", `${parameters}, defaults: { strips: 8 }`));
    await writeFile(join(folder, "wide.ts"), handler("wide", `${parameters}, defaults: { stripes: 65 }`));
    await writeFile(join(folder, "list.ts"), handler("list", "parameters: [1]"));
    await writeFile(join(folder, "good.ts"), handler("good", `${parameters}, defaults: { width: 8 }`));
    const registry = await loadHandlers(folder);
    const message = registry.problems.map(({ problem }) => problem).join("\n");
    expect(registry.types).toEqual(["good"]);
    expect(message).toMatch(/bare\.ts: defaults: there are no parameters to have defaults/);
    expect(message).toMatch(/typo\.ts: defaults: parameters has no strips/);
    expect(message).toMatch(/wide\.ts: defaults\.stripes is 65: must be at most 64/);
    expect(message).toMatch(/list\.ts: parameters is \[1\]: must be a zod object/);
    expect(message).not.toContain("good.ts");
  });

  it("leaves a bad file out, names it, and takes it in when it is mended", async () => {
    await writeFile(join(folder, "sort_shells.ts"), handler("sort_shells"));
    await writeFile(join(folder, "broken.ts"), "export default {{");
    const registry = await loadHandlers(folder);
    expect(registry.types).toEqual(["sort_shells"]);
    expect(registry.problems).toMatchObject([
      { type: "broken", problem: expect.stringMatching(/broken\.ts:1:17: Unexpected token/) },
    ]);
    await writeFile(join(folder, "broken.ts"), handler("broken"));
    registry.update(await loadHandler(folder, "broken.ts", "2"));
    expect(registry).toMatchObject({ types: ["broken", "sort_shells"], problems: [] });
  });

  it("leaves out who calls nobody, and takes both in when the called one comes", async () => {
    await writeFile(join(folder, "paint.ts"), handler("paint", 'calls: ["enhance"]'));
    await writeFile(join(folder, "other.ts"), handler("other"));
    const registry = await loadHandlers(folder);
    expect(registry.types).toEqual(["other"]);
    expect(registry.problems).toEqual([
      { type: "paint", problem: `${join(folder, "paint.ts")}: calls: there is no handler for enhance` },
    ]);
    await writeFile(join(folder, "enhance.ts"), handler("enhance", 'worker: "chat"'));
    const usable = registry.update(await loadHandler(folder, "enhance.ts"));
    expect(usable.map(({ type }) => type).sort()).toEqual(["enhance", "paint"]);
    expect(registry.problems).toEqual([]);
  });

  it("refuses the file that closes a circle of calls, and not those that run", async () => {
    await writeFile(join(folder, "zebra.ts"), handler("zebra", 'calls: ["horse"], worker: "a"'));
    await writeFile(join(folder, "horse.ts"), handler("horse", 'worker: "b"'));
    const registry = await loadHandlers(folder);
    await writeFile(join(folder, "ant.ts"), handler("ant", 'calls: ["zebra"], worker: "b"'));
    expect(registry.update(await loadHandler(folder, "ant.ts"))).toEqual([]);
    expect(registry.types).toEqual(["horse", "zebra"]);
    expect(registry.problems).toMatchObject([{ type: "ant", problem: expect.stringContaining("closes a circle") }]);
    // Of those that come together, the last one by name.
    expect((await loadHandlers(folder)).types).toEqual(["ant", "horse"]);
    expect((await loadHandlers(folder, { checksCalls: false })).types).toEqual(["ant", "horse", "zebra"]);
  });

  it("does not start with two files of one type", async () => {
    await writeFile(join(folder, "sort_shells.ts"), handler("sort_shells"));
    await writeFile(join(folder, "sort_stones.ts"), handler("sort_shells"));
    await expect(loadHandlers(folder)).rejects.toThrow(/sort_stones\.ts: its type is "sort_shells"/);
  });

  it("says what to set when the folder is not there", async () => {
    await expect(loadHandlers(join(folder, "none"))).rejects.toThrow(/HANDLERS_DIR/);
  });
});
