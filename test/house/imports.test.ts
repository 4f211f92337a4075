import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { importsOf, loadedWith, readImports, sourceFiles } from "./import-graph.ts";
import { isTestOrTool, objectionTo } from "./import-rules.ts";

/* Who may import whom, for every import that is written anywhere. Cycles are refused by lint (noImportCycles). */
const files = sourceFiles();
const imports = readImports(files);

it("every import of a file finds it", () => {
  const projectFolder = resolve(import.meta.dirname, "../..");
  const ours = imports.filter(({ specifier }) => /^[.#]/.test(specifier));
  expect(ours.length).toBeGreaterThan(1500);
  expect(ours.filter(({ to }) => !existsSync(join(projectFolder, to)))).toEqual([]);
});

it("every import is written as it should, by who may", () => {
  const refused = imports.flatMap((one) => {
    const objection = objectionTo(one);
    return objection === null ? [] : [`${one.from} imports ${one.specifier}: ${objection}`];
  });
  expect(refused).toEqual([]);
});

it("no part of the product imports a test or its support", () => {
  const used = imports.filter(({ from, to }) => !isTestOrTool(from) && isTestOrTool(to));
  expect(used.map(({ from, to }) => `${from} imports ${to}`)).toEqual([]);
});

describe("processes", () => {
  const modelCode = /^(pipelines|handlers)\/|^onnxruntime-node$|^runtime\/executor\/child\//;

  it.each(["runtime/container/start-runtime.ts", "functions/server.ts", "cli/main.ts", "gateway/gateway.ts"])(
    "what holds no models never loads code that does: %s",
    (entry) => {
      const loaded = [...loadedWith(entry, imports, { lazy: true })];
      expect(loaded).toContain(entry);
      expect(loaded.length).toBeGreaterThan(5);
      expect(loaded.filter((file) => modelCode.test(file))).toEqual([]);
    },
  );

  /* What a container takes and runs its first job with, and listens by; the functions come with the first request. */
  const firstJob = ["cli/main.ts", "cli/commands/start.ts", "cli/start.ts", "functions/server.ts"];
  const firstJobsRuntime = ["runtime/container/start-runtime.ts", "runtime/container/assemble.ts"];
  const loadedFirst = new Set(
    [...firstJob, ...firstJobsRuntime].flatMap((entry) => [...loadedWith(entry, imports, { lazy: false })]),
  );

  it("the way to a container's first job loads no library that it may do without", () => {
    const dispensable = /^(undici|hono|@hono\/.*|prom-client|@supabase\/.*|@upstash\/.*|sharp|redis)(\/|$)/;
    expect(loadedFirst.size).toBeGreaterThan(150);
    expect(loadedFirst).toContain("zod");
    expect([...loadedFirst].filter((file) => dispensable.test(file))).toEqual([]);
    expect(loadedFirst).not.toContain("functions/index.ts");
    expect(loadedFirst).not.toContain("cli/commands/run.ts");
  });

  it("the way to a container's first job does not import node:http, which loads Node's fetch client (node-http.ts)", () => {
    const http = imports.filter(({ kind, specifier }) => kind === "load" && /^node:https?$/.test(specifier));
    expect(http.map(({ from }) => from)).toContain("gateway/gateway.ts");
    expect(http.map(({ from }) => from).filter((from) => loadedFirst.has(from))).toEqual([]);
  });

  it("an executor loads nothing that takes, settles or delivers jobs", () => {
    const control = /^runtime\/(dispatch|sources|delivery|heartbeat|executor\/parent)\/|^(functions|cli|gateway)\//;
    const loaded = [...loadedWith("runtime/executor/child/child.ts", imports, { lazy: true })];
    expect(loaded).toContain("runtime/executor/child/executor-process.ts");
    expect(loaded.filter((file) => control.test(file))).toEqual([]);
  });

  it.each(files.filter((file) => file.startsWith("handlers/") && !isTestOrTool(file)))(
    "the dispatcher can read a handler without its models' code: %s",
    (handler) => {
      const loaded = [...loadedWith(handler, imports, { lazy: false })];
      expect(loaded.filter((file) => /^(onnxruntime-node|sharp)$|^@huggingface/.test(file))).toEqual([]);
    },
  );
});

describe("the rules themselves", () => {
  it.each([
    ["handlers/a.ts", `import "#runtime/lib/within.ts";`],
    ["handlers/a.ts", `import "../runtime/lib/within.ts";`],
    ["handlers/a.ts", `import process from "node:process";`],
    ["functions/a.ts", `import "#pipelines/core/host.ts";`],
    ["functions/http/a.ts", `export * from "../../cli/table.ts";`],
    ["functions/a.ts", `import "#functions/errors.ts";`],
    ["runtime/lib/a.ts", `type A = import("../../functions/errors.ts").ErrorBody;`],
    ["runtime/dispatch/a.ts", `import "../lib/within.ts";`],
    ["runtime/dispatch/a.ts", `const a = await import("#functions/server.ts");`],
    ["pipelines/sdxl/a.ts", `import type { Job } from "#contract/job.ts";`],
    ["pipelines/sdxl/a.ts", `import * as ort from "onnxruntime-node";`],
    ["pipelines/sdxl/a.ts", `import "../core/host.ts";`],
    ["client/a.ts", `import { setTimeout } from "node:timers/promises";`],
    ["client/a.ts", `import "#runtime/lib/within.ts";`],
    ["client/a.ts", `import type { Route } from "#functions/http/route.ts";`],
    ["functions/api/a.ts", `import type { Runtime } from "#runtime/container/runtime.ts";`],
    ["functions/api/a.ts", `import { HttpError } from "../errors.ts";`],
    ["gateway/a.ts", `import "#runtime/sources/job-source.ts";`],
    ["supabase/functions/_shared/a.ts", `import { randomUUID } from "node:crypto";`],
    ["supabase/functions/_shared/a.ts", `import "#contract/job.ts";`],
    ["supabase/functions/_shared/a.ts", `import "../queue-job/queue-job.ts";`],
    ["supabase/functions/queue-job/a.ts", `import "../../../runtime/lib/within.ts";`],
    ["elsewhere/a.ts", `import "zod";`],
  ])("%s may not: %s", (file, source) => {
    expect(importsOf(file, source).map(objectionTo)).toEqual([expect.any(String)]);
  });

  it.each([
    ["handlers/a.ts", `import "#pipelines/sdxl/image-job.ts"; import { z } from "zod";`],
    ["runtime/dispatch/a.ts", `import "./backoff.ts"; import "#runtime/lib/within.ts"; import "#contract/job.ts";`],
    ["pipelines/core/onnx.ts", `import * as ort from "onnxruntime-node";`],
    ["client/a.ts", `import type { getJob } from "#functions/api/jobs-get.ts";`],
    ["functions/a.test.ts", `import "#test/support/runtime.ts"; import "#pipelines/core/host.ts";`],
    ["supabase/functions/queue-job/a.ts", `import "../_shared/job.ts";`],
  ])("%s may: %s", (file, source) => {
    expect(
      importsOf(file, source)
        .map(objectionTo)
        .filter((objection) => objection !== null),
    ).toEqual([]);
  });
});
