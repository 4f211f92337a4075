import { EventEmitter } from "node:events";
import { cp, mkdir, mkdtemp, rename, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ErrorReport } from "#contract/errors.ts";
import { jobEnvelope } from "#contract/job.ts";
import type { AttemptEnd } from "#runtime/executor/parent/task-slot.ts";
import { type HandlerProblem, loadHandlers, type Registry } from "#runtime/job-types/registry.ts";
import type { Lease } from "#runtime/sources/job-source.ts";
import { Offers } from "./offers.ts";

const zod = fileURLToPath(import.meta.resolve("zod"));
const shipped = fileURLToPath(new URL("../../models/tiny-sdxl", import.meta.url));

let folder: string;
let registry: Registry;
let offers: Offers;
let nowMs: number;
let restarted: string[];
let announced: (readonly string[])[];
let logged: string[];
let executor: EventEmitter<{ state: [] }> & {
  status: { types: string[] | null; problems: HandlerProblem[]; startError: ErrorReport | null };
};

function handler(type: string, more = ""): string {
  return `import { z } from ${JSON.stringify(zod)};
    export default { type: "${type}", worker: "test", produces: "nothing", input: z.any(), retry: { maxAttempts: 1, timeoutSeconds: 5 }, run: async () => ({}), ${more} };`;
}

const handlers = () => join(folder, "handlers");
const models = () => join(folder, "models");

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ourvidz-offers-"));
  await mkdir(handlers());
  await mkdir(models());
  await writeFile(join(handlers(), "count.ts"), handler("count"));
  await writeFile(join(handlers(), "paint.ts"), handler("paint", 'model: "painter"'));
  await cp(shipped, join(models(), "painter"), { recursive: true });
  nowMs = 1_000_000;
  restarted = [];
  announced = [];
  logged = [];
});

afterEach(async () => {
  await offers.stop();
  await rm(folder, { recursive: true, force: true });
});

async function start(): Promise<void> {
  await begin();
  await offers.checked;
}

/** Up to the moment when jobs are taken. */
async function begin(): Promise<void> {
  registry = await loadHandlers(handlers());
  executor = Object.assign(new EventEmitter<{ state: [] }>(), {
    status: { types: null, problems: [], startError: null },
  });
  offers = new Offers({
    engines: new Map(),
    registry,
    executors: new Map([["test", executor]]),
    sources: [{ announce: async (all) => void announced.push(...[...all.values()].map(({ models }) => models)) }],
    handlersFolder: handlers(),
    modelsFolder: models(),
    log: pino({ level: "info" }, { write: (line) => void logged.push(line) }),
    nowMs: () => nowMs,
    restart: (worker) => restarted.push(worker),
    onHandler: ({ type }) => restarted.push(type),
  });
  await offers.start();
}

/** The next look, two seconds later. */
async function look(): Promise<void> {
  nowMs += 2000;
  await offers.look();
}

function lease(type: string, fields: object = {}, jobId = "job"): Lease {
  const job = jobEnvelope.parse({ id: jobId, type, ...fields });
  return { jobId, job, token: "t", attempt: 1, run: 1, queuedAtMs: 0, takenAtMs: 0, expiresAtMs: 1e12 };
}

const failed = (code: ErrorReport["code"], retry: "backoff" | "never" = "backoff"): AttemptEnd => ({
  kind: "failed",
  error: { code, message: "no paint left" },
  retry,
});
const completed: AttemptEnd = { kind: "completed", assets: [], metadata: {} };

describe("the start", () => {
  it("knows models by their names, announces nothing yet, and has read them when it is checked", async () => {
    await cp(shipped, join(models(), "broken"), { recursive: true });
    await truncate(join(models(), "broken/unet/model.onnx"), 1000);
    await begin();
    expect(offers.of("test").models.toSorted()).toEqual(["broken", "painter"]);
    expect(announced).toEqual([]);
    const checked = offers.checked;
    expect(checked).not.toBeNull();
    await checked;
    expect(offers.of("test").models).toEqual(["painter"]);
    expect(offers.checked).toBeNull();
    await expect.poll(() => announced).toEqual([["painter"]]);
  });
});

describe("models", () => {
  it("that were never here are no fault; those that were, or that an alias stands for, are one", async () => {
    await writeFile(join(handlers(), "sketch.ts"), handler("sketch", 'model: "sketcher"'));
    await writeFile(join(handlers(), "etch.ts"), handler("etch", 'model: "etcher"'));
    await writeFile(join(models(), "aliases.json"), JSON.stringify({ etcher: "tiny-etcher" }));
    await start();
    const absences = () => offers.conditions.map(({ subject, isAbsence }) => [subject, isAbsence]).sort();
    expect(absences()).toEqual([
      ["sketcher", true],
      ["tiny-etcher", false],
    ]);
    await rm(join(models(), "painter"), { recursive: true });
    await look();
    expect(absences()).toEqual([
      ["painter", false],
      ["sketcher", true],
      ["tiny-etcher", false],
    ]);
  });

  it("that are missing, broken or come back are seen without a job", async () => {
    await start();
    expect(offers.of("test")).toEqual({
      types: ["count", "paint"],
      defaultModelTypes: ["count", "paint"],
      models: ["painter"],
    });
    expect(offers.conditions).toEqual([]);

    await rename(join(models(), "painter"), join(folder, "away"));
    await look();
    expect(offers.of("test")).toMatchObject({ defaultModelTypes: ["count"], models: [] });
    expect(offers.conditions).toMatchObject([
      { worker: "test", kind: "model", subject: "painter", state: "active", error: { code: "MODEL_NOT_FOUND" } },
    ]);
    expect(offers.obstacleTo({ type: "paint" })).toMatchObject({ code: "MODEL_NOT_FOUND" });

    await truncate(join(folder, "away/unet/model.onnx"), 1000);
    await rename(join(folder, "away"), join(models(), "painter"));
    await look();
    expect(offers.conditions).toMatchObject([
      { error: { code: "MODEL_INVALID", message: /unet\/model\.onnx is cut off/ } },
    ]);

    await cp(join(shipped, "unet/model.onnx"), join(models(), "painter/unet/model.onnx"));
    await look();
    expect(offers.conditions).toEqual([]);
    expect(offers.obstacleTo({ type: "paint" })).toBeNull();
  });

  it("may be named by a job when they are in order, under every name that they have", async () => {
    await symlink(shipped, join(models(), "other"));
    await writeFile(join(models(), "aliases.json"), '{"small": "other"}');
    await start();
    expect(offers.of("test").models).toEqual(["other", "painter", "small"]);
    expect(offers.obstacleTo({ type: "count", model_variant: "unheard" })).toMatchObject({ code: "MODEL_NOT_FOUND" });
  });

  it("that an alias stands for are named by their folders, missing or broken", async () => {
    await writeFile(join(models(), "aliases.json"), '{"small": "other"}');
    await writeFile(join(handlers(), "sketch.ts"), handler("sketch", 'model: "small"'));
    await start();
    expect(offers.conditions).toMatchObject([{ kind: "model", subject: "other", error: { code: "MODEL_NOT_FOUND" } }]);
    await cp(shipped, join(models(), "other"), { recursive: true });
    await truncate(join(models(), "other/unet/model.onnx"), 1000);
    await look();
    expect(offers.conditions).toMatchObject([{ kind: "model", subject: "other", error: { code: "MODEL_INVALID" } }]);
    expect(logged.filter((line) => /runs jobs .* again/.test(line))).toEqual([]);
    await cp(join(shipped, "unet/model.onnx"), join(models(), "other/unet/model.onnx"));
    await look();
    expect(logged.filter((line) => line.includes("runs jobs with the model other again"))).toHaveLength(1);
  });

  it("that do not load are withheld until their files change, or a pause is over and a job goes well", async () => {
    await start();
    const broken = { code: "MODEL_INVALID", message: "does not load", details: { model: "painter" } } as const;
    await offers.onCondition(broken, lease("paint"));
    expect(offers.of("test")).toMatchObject({ types: ["count", "paint"], defaultModelTypes: ["count"], models: [] });
    await look();
    expect(offers.conditions).toMatchObject([{ state: "probing" }]);
    expect(offers.of("test").defaultModelTypes).toContain("paint");
    await offers.onCondition(broken, lease("paint"));
    expect(offers.of("test").defaultModelTypes).not.toContain("paint");
    await writeFile(join(models(), "painter/README.md"), "mended");
    nowMs -= 1500;
    await look();
    expect(offers.of("test").defaultModelTypes).toContain("paint");
    offers.onAttemptEnd({ lease: lease("paint"), worker: "test", end: completed });
    expect(offers.conditions).toEqual([]);
  });

  it("that a handler asks for beside its own concern its type", async () => {
    await start();
    await offers.onCondition({ code: "MODEL_NOT_FOUND", message: "no", details: { model: "depth" } }, lease("paint"));
    expect(offers.of("test").types).toEqual(["count"]);
    expect(offers.conditions).toMatchObject([{ kind: "type", subject: "paint" }]);
  });
});

describe("handlers", () => {
  it("that are broken are named, and loaded when their file is mended", async () => {
    await writeFile(join(handlers(), "weave.ts"), "export default {{");
    await start();
    expect(offers.of("test").types).toEqual(["count", "paint"]);
    expect(offers.conditions).toMatchObject([{ kind: "type", subject: "weave", error: { code: "HANDLER_INVALID" } }]);
    await writeFile(join(handlers(), "weave.ts"), handler("weave"));
    await look();
    expect(restarted).toEqual(["weave"]);
    expect(offers.of("test").types).toEqual(["count", "paint", "weave"]);
    expect(offers.conditions).toEqual([]);
  });

  it("that an executor cannot load after its restart are named with what is wrong", async () => {
    await start();
    const problem = { type: "count", problem: "handlers/count.ts: Expression expected" };
    executor.status = { types: ["paint"], problems: [problem], startError: null };
    executor.emit("state");
    expect(offers.conditions).toMatchObject([
      { kind: "type", subject: "count", error: { code: "HANDLER_INVALID", message: /Expression expected/ } },
    ]);
    expect(offers.of("test").types).toEqual(["paint"]);
  });

  it("that come are taken in", async () => {
    await start();
    expect(offers.obstacleTo({ type: "weave" })).toMatchObject({ code: "UNKNOWN_JOB_TYPE" });
    await writeFile(join(handlers(), "weave.ts"), handler("weave"));
    await look();
    expect(offers.obstacleTo({ type: "weave" })).toBeNull();
  });

  it("that the executor could not load are withheld", async () => {
    await start();
    executor.status.types = ["paint"];
    executor.emit("state");
    expect(offers.of("test").types).toEqual(["paint"]);
    executor.status.startError = { code: "HANDLER_INVALID", message: "none works" };
    executor.emit("state");
    expect(offers.of("test").types).toEqual([]);
    expect(offers.conditions).toMatchObject([{ kind: "worker", subject: "test" }]);
  });
});

describe("videos", () => {
  const video = { type: "video", file: "/w/0.mp4", extension: "mp4", mimeType: "video/mp4" } as const;
  const made: AttemptEnd = { ...completed, assets: [{ ...video, index: 0, sizeBytes: 1, metadata: {} }] };
  const end = (type: string, what: AttemptEnd) =>
    offers.onAttemptEnd({ lease: lease(type), worker: "test", end: what });

  beforeEach(async () => {
    for (const type of ["film", "loop"]) {
      await writeFile(join(handlers(), `${type}.ts`), handler(type).replace('"nothing"', '"video"'));
    }
    await start();
    await offers.onCondition({ code: "FFMPEG_MISSING", message: "no ffmpeg" }, lease("film"));
  });

  it("are withheld at once, of all types, where one has found no ffmpeg; all else is offered", async () => {
    expect(offers.of("test").types).toEqual(["count", "paint"]);
    expect(offers.conditions).toMatchObject(
      ["film", "loop"].map((subject) => ({ kind: "type", subject, error: { code: "FFMPEG_MISSING" } })),
    );
    await look();
    expect(offers.of("test").types).toEqual(["count", "film", "loop", "paint"]);
  });

  it("are all offered again when one was made, and not when a job made none", async () => {
    await look();
    end("film", completed);
    expect(offers.conditions).toMatchObject([{ subject: "loop", state: "probing" }]);
    await offers.onCondition({ code: "FFMPEG_MISSING", message: "no ffmpeg" }, lease("film"));
    await look();
    end("loop", made);
    expect(offers.conditions).toEqual([]);
  });

  it("are withheld with a type that makes them beside something else", async () => {
    await offers.onCondition({ code: "FFMPEG_MISSING", message: "no ffmpeg" }, lease("count"));
    expect(offers.of("test").types).toEqual(["paint"]);
  });
});

describe("the worker", () => {
  it.each(["DEVICE_LOST", "DISK_FULL"] as const)("is withheld as a whole by %s", async (code) => {
    await start();
    await offers.onCondition({ code, message: "gone" }, lease("count"));
    expect(offers.of("test").types).toEqual([]);
    expect(restarted).toEqual(code === "DEVICE_LOST" ? ["test"] : []);
    await look();
    expect(offers.of("test").types).toEqual(["count", "paint"]);
  });

  it("pauses itself after five failures with one cause, and is probed with one job", async () => {
    await start();
    const end = (jobId: string, what: AttemptEnd, type = "count") =>
      offers.onAttemptEnd({ lease: lease(type, {}, jobId), worker: "test", end: what });
    for (const id of ["a", "b", "c", "d"]) end(id, failed("HANDLER_FAILED"), id === "b" ? "paint" : "count");
    // What a handler refuses for good is the job's own fault.
    end("x", failed("HANDLER_FAILED", "never"));
    expect(offers.of("test").types).not.toEqual([]);
    end("e", failed("HANDLER_FAILED"));
    expect(offers.of("test").types).toEqual([]);
    expect(offers.conditions).toMatchObject([{ kind: "worker", error: { message: /5 different jobs/ } }]);
    await look();
    expect(offers.of("test").types).not.toEqual([]);
    end("f", failed("NUMERICAL_ERROR"));
    expect(offers.of("test").types).toEqual([]);
    await look();
    end("g", completed);
    expect(offers.conditions).toEqual([]);
  });

  it("goes on with its other types when all five failures were of one, and that one is probed", async () => {
    await start();
    const end = (jobId: string, what: AttemptEnd) =>
      offers.onAttemptEnd({ lease: lease("count", {}, jobId), worker: "test", end: what });
    for (const id of ["a", "b", "c", "d", "e"]) end(id, failed("HANDLER_FAILED"));
    expect(offers.of("test").types).toEqual(["paint"]);
    expect(offers.conditions).toMatchObject([{ kind: "type", subject: "count" }]);
    await look();
    expect(offers.of("test").types).toContain("count");
    end("f", failed("HANDLER_FAILED"));
    expect(offers.of("test").types).toEqual(["paint"]);
    await look();
    end("g", completed);
    expect(offers.conditions).toEqual([]);
  });
});
