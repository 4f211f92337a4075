import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { type AssetOptions, defineHandler, type Handler, type HandlerContext } from "#contract/handler.ts";
import { jobEnvelope } from "#contract/job.ts";
import { Registry } from "#runtime/job-types/registry.ts";
import { type ContextHost, JobContext, runHandler } from "./job-context.ts";
import { WorkFolder } from "./work-folder.ts";

const text: AssetOptions = { type: "text", extension: "txt", mimeType: "text/plain" };
const job = jobEnvelope.parse({ id: "job", type: "outer" });

let folder: string;
let lines: { level: number; method?: string; msg: string }[];
let host: ContextHost;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ourvidz-context-"));
  lines = [];
  host = {
    registry: new Registry([handler("inner", drawTwoFiles), handler("outer", async () => ({}))]),
    modelsFolder: folder,
    cacheFolder: join(folder, "cache"),
    signal: new AbortController().signal,
    log: pino({ level: "debug" }, { write: (line) => lines.push(JSON.parse(line)) }),
    workFolder: new WorkFolder(join(folder, "work")),
    reportProgress: vi.fn(),
    reportStage: vi.fn(),
    reportText: vi.fn(),
    call: vi.fn(),
    textCharacters: 0,
    query: vi.fn(),
    enqueue: vi.fn(async ({ id }) => id),
    input: vi.fn(),
    modelUsed: vi.fn(),
    nextChild: () => 0,
  };
});

afterEach(() => rm(folder, { recursive: true, force: true }));

function handler(type: string, run: Handler["run"]): Handler {
  const retry = { maxAttempts: 1, timeoutSeconds: 30 };
  return defineHandler({
    type,
    worker: "test",
    produces: "nothing",
    input: jobEnvelope,
    parameters: z.object({}),
    retry,
    run,
  });
}

async function drawTwoFiles(_job: unknown, ctx: HandlerContext) {
  await pause(20);
  await ctx.asset(new Uint8Array(1), text);
  void ctx.asset(new Uint8Array(2), text);
  return {};
}

function run(body: (ctx: HandlerContext) => Promise<object>, stopRest?: () => void) {
  const outer = handler("outer", async (_job, ctx) => await body(ctx));
  return runHandler(outer, job, new JobContext(job, job, 1, outer, host), stopRest);
}

describe("after run has returned", () => {
  it.each<[string, (ctx: HandlerContext) => unknown]>([
    ["progress", (ctx) => ctx.progress(1, 2)],
    ["stage", (ctx) => ctx.stage({ name: "load", seconds: 1 })],
    ["parameters", (ctx) => ctx.parameters()],
    ["model", (ctx) => ctx.model("tiny")],
    ["input", (ctx) => ctx.input("https://app.example/lake.png")],
    ["asset", (ctx) => ctx.asset(new Uint8Array(1), text)],
    ["run", (ctx) => ctx.run("inner", {})],
    ["enqueue", (ctx) => ctx.enqueue({ type: "inner" })],
    ["scratch", (ctx) => ctx.scratch()],
  ])("ctx.%s is refused, and logged", async (method, call) => {
    const kept: HandlerContext[] = [];
    await run(async (ctx) => {
      kept.push(ctx);
      return {};
    });
    const [ctx] = kept;
    if (ctx === undefined) throw new Error("the handler has not run");
    await expect((async () => await call(ctx))()).rejects.toMatchObject({
      code: "HANDLER_FAILED",
      message: `ctx.${method} was called after run of the handler outer had returned: await it, and what calls it, before run returns.`,
    });
    expect(lines).toMatchObject([{ level: 40, method: `ctx.${method}` }]);
    for (const hook of [host.reportProgress, host.reportStage, host.enqueue, host.input, host.modelUsed])
      expect(hook).not.toHaveBeenCalled();
    expect(host.workFolder.assets).toEqual([]);
  });

  it("what it had begun without await is waited for, an inner handler and its files too", async () => {
    await run(async (ctx) => {
      void ctx.run("inner", {});
      return {};
    });
    expect(host.workFolder.assets.map(({ sizeBytes }) => sizeBytes)).toEqual([1, 2]);
    expect(lines).toEqual([]);
  });

  it("a failure of what it had begun is its own", async () => {
    const running = run(async (ctx) => {
      ctx.asset({ file: join(folder, "nowhere.png") }, text).catch(() => undefined);
      return {};
    });
    await expect(running).rejects.toMatchObject({ message: expect.stringContaining("nowhere.png") });
  });
});

it("stops what a handler that throws had begun before it is waited for", async () => {
  const answer = Promise.withResolvers<never>();
  vi.mocked(host.enqueue).mockReturnValueOnce(answer.promise);
  const running = run(
    async (ctx) => {
      ctx.enqueue({ type: "inner" }).catch(() => undefined);
      throw new Error("no paint");
    },
    () => answer.reject(new Error("stopped")),
  );
  await expect(running).rejects.toThrow("no paint");
});

describe("ctx.enqueue", () => {
  it("hands over every field of the child", async () => {
    const child = {
      type: "inner",
      prompt: "a lake",
      negative_prompt: "fog",
      model_variant: "tiny",
      config: { steps: 3 },
    };
    await run(async (ctx) => ({ metadata: { child: await ctx.enqueue(child) } }));
    expect(host.enqueue).toHaveBeenCalledExactlyOnceWith({ ...child, id: expect.any(String) });
  });

  it.each(["id", "user_id", "priority", "created_at"])(
    "refuses %s, which a child has from its parent",
    async (field) => {
      const running = run(async (ctx) => ({
        metadata: { child: await ctx.enqueue({ type: "inner", [field]: "other" }) },
      }));
      await expect(running).rejects.toMatchObject({ message: expect.stringContaining(`${field}`) });
      expect(host.enqueue).not.toHaveBeenCalled();
    },
  );
});

it("keeps a file that was handed over from the scratch folder, and removes what is left there", async () => {
  await run(async (ctx) => {
    const scratch = await ctx.scratch();
    await writeFile(join(scratch, "clip.mp4"), "frames");
    await writeFile(join(scratch, "clip.mp4.part"), "half");
    await ctx.asset({ file: join(scratch, "clip.mp4") }, { type: "video", extension: "mp4", mimeType: "video/mp4" });
    expect(await readdir(await ctx.scratch())).toEqual(["clip.mp4.part"]);
    return {};
  });
  await host.workFolder.removeTemporary();
  expect(await readdir(host.workFolder.path)).toEqual(["0.mp4"]);
});

it("leaves no folder when nothing was handed over", async () => {
  await run(async (ctx) => {
    await writeFile(join(await ctx.scratch(), "clip.mp4.part"), "half");
    return {};
  });
  await host.workFolder.removeTemporary();
  await expect(readdir(host.workFolder.path)).rejects.toThrow("ENOENT");
});
