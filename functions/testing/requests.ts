import { randomUUID } from "node:crypto";
import { z } from "zod";
import { jobEnvelope } from "#contract/job.ts";
import type { Route } from "../http/route.ts";
import { type JsonSchema, jobSchema } from "../jobs/job-schema.ts";
import type { TestContainer } from "./container.ts";

/** One request as it is sent. */
export interface TestRequest {
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/** A request of which one field is wrong. */
export interface WrongRequest extends TestRequest {
  readonly field: string;
  readonly place: "path" | "query" | "body";
}

const lake = { type: "gated", prompt: "a quiet lake" };

/** A request that each route with parameters or a body takes, on things that exist; made anew for each use. */
const valid: Readonly<Record<string, (container: TestContainer) => Promise<Partial<TestRequest>>>> = {
  "POST /jobs": async () => ({ body: { ...lake, config: { size: 3 }, delay_seconds: 3600, idempotency_key: "key" } }),
  "GET /jobs": async () => ({
    query: new URLSearchParams({ status: "completed", type: "gated", limit: "2", source: "sqlite" }),
  }),
  "GET /jobs/:id": async (container) => ({ path: `/jobs/${await endedJob(container)}` }),
  "GET /jobs/:id/events": async (container) => ({ path: `/jobs/${await endedJob(container)}/events` }),
  "GET /jobs/:id/attempts/:attempt/log": async (container) => ({
    path: `/jobs/${await endedJob(container)}/attempts/1/log`,
  }),
  "DELETE /jobs/:id": async (container) => ({ path: `/jobs/${await waitingJob(container)}` }),
  "PATCH /jobs/:id": async (container) => ({ path: `/jobs/${await waitingJob(container)}`, body: { priority: 7 } }),
  "POST /queues/:queue/pause": async () => ({
    path: "/queues/wan_queue/pause",
    query: new URLSearchParams({ source: "sqlite" }),
  }),
  "GET /queues/:queue/waiting": async () => ({
    path: "/queues/test_queue/waiting",
    query: new URLSearchParams({ limit: "5", source: "sqlite" }),
  }),
  "POST /queues/:queue/resume": async () => ({ path: "/queues/test_queue/resume" }),
  "POST /jobs/:id/retry": async (container) => ({
    path: `/jobs/${await endedJob(container, { stumble: "as asked" })}/retry`,
  }),
  "POST /jobs/:id/discard": async (container) => ({
    path: `/jobs/${await endedJob(container)}/discard`,
    query: new URLSearchParams({ files: "true" }),
  }),
  "POST /jobs/discard": async (container) => {
    await endedJob(container, { fail: "as asked" });
    return { body: { status: "failed", code: "HANDLER_FAILED", queue: "test_queue", older_than_seconds: 0, limit: 5 } };
  },
  "POST /jobs/cancel": async (container) => {
    await waitingJob(container);
    return { body: { status: "queued", type: "gated", limit: 1 } };
  },
  "GET /failures": async (container) => {
    await endedJob(container, { fail: "as asked" });
    return { query: new URLSearchParams({ queue: "test_queue" }) };
  },
  "POST /generate": async () => ({ body: { ...lake, config: { size: 3 } } }),
  "POST /test-compel": async () => ({ body: { prompt: "a quiet lake", type: "gated", model_variant: "tiny-sdxl" } }),
  "POST /inputs": async () => ({ body: smallGif, query: new URLSearchParams({ user_id: "ann" }) }),
  "GET /inputs/:id": async (container) => ({ path: `/inputs/${await uploaded(container)}` }),
  "DELETE /inputs/:id": async (container) => ({ path: `/inputs/${await uploaded(container)}` }),
  "GET /queues/:queue/dead": async () => ({
    path: "/queues/test_queue/dead",
    query: new URLSearchParams({ limit: "5" }),
  }),
  "POST /queues/:queue/redrive": async () => ({
    path: "/queues/test_queue/redrive",
    query: new URLSearchParams({ limit: "5" }),
  }),
  "POST /outbox/give-up": async () => ({ body: { job_id: "nothing-waits" } }),
  "GET /undecodable": async () => ({ query: new URLSearchParams({ queue: "test_queue", limit: "5" }) }),
  "POST /queues/:queue/undecodable/discard": async () => ({
    path: "/queues/test_queue/undecodable/discard",
    query: new URLSearchParams({ all: "true" }),
  }),
  "POST /chat": async () => ({ body: { prompt: "What can you draw?" } }),
  "GET /chat/sessions/:id": async ({ runtime }) => ({ path: `/chat/sessions/${await remembered(runtime)}` }),
  "DELETE /chat/sessions/:id": async ({ runtime }) => ({ path: `/chat/sessions/${await remembered(runtime)}` }),
  "DELETE /chat/sessions": async () => ({ query: new URLSearchParams({ user_id: "ann" }) }),
  "POST /enhance": async () => ({ body: { prompt: "a lighthouse" } }),
  "POST /enhance/instruct": async () => ({ body: { prompt: "a lighthouse" } }),
  "POST /enhance/base": async () => ({ body: { prompt: "a lighthouse" } }),
  "POST /v1/chat/completions": async () => ({ body: { messages: [{ role: "user", content: "What can you draw?" }] } }),
  "GET /v1/models/:id": async () => ({ path: "/v1/models/chat" }),
  "POST /worker/restart/:worker": async () => ({ path: "/worker/restart/test" }),
  "GET /console/:file": async () => ({ path: "/console/main.js" }),
  "GET /files/*": async (container) => {
    const view = z.object({ result: z.object({ assets: z.array(z.object({ url: z.string() })) }) });
    const record = await container.runtime.queue.get(await endedJob(container));
    const [asset] = view.parse(record).result.assets;
    const url = new URL((await container.runtime.store.url("gated", asset?.url ?? "")) ?? "", "http://localhost");
    return { path: url.pathname, query: url.searchParams };
  },
};

/** As text, as all bodies here are: a GIF of 1 × 1, as far as its header. */
const smallGif = `GIF89a${"\x01\x00".repeat(2)}`;

async function uploaded({ runtime }: TestContainer): Promise<string> {
  const content = (async function* () {
    yield Buffer.from(smallGif);
  })();
  const { upload } = await runtime.uploads.add({ userId: "ann", content, signal: new AbortController().signal });
  return upload.sha256;
}

async function remembered({ sessions }: TestContainer["runtime"]): Promise<string> {
  const session = { userId: "anonymous", sessionId: "lakes" };
  await sessions.remember(session, { prompt: "a lake", response: "a quiet lake", jobId: "job", runId: "run" });
  return session.sessionId;
}

async function endedJob({ runtime }: TestContainer, config: Record<string, unknown> = {}): Promise<string> {
  const id = await runtime.submit("gated", config);
  await runtime.ended(id);
  return id;
}

async function waitingJob({ runtime }: TestContainer): Promise<string> {
  const job = jobEnvelope.parse({ id: randomUUID(), ...lake });
  const { jobId } = await runtime.queue.enqueue(job, { worker: "test", delaySeconds: 3600 });
  return jobId;
}

export async function validRequest(route: Route, container: TestContainer): Promise<TestRequest> {
  const make = valid[`${route.method} ${route.path}`];
  const needsNothing = !/[:*]/.test(route.path) && route.body === undefined;
  if (make === undefined && !needsNothing)
    throw new Error(`no request is known for ${route.method} ${route.path}: add one above`);
  return { path: route.path, query: new URLSearchParams(), headers: {}, ...(await make?.(container)) };
}

const wrongPathParts = [
  "..",
  "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
  "%00",
  "%0d%0aSet-Cookie:%20a=b",
  "a".repeat(5000),
  "%F0%9F%91%BB",
  "'%20OR%201=1--",
  "%",
];

/** The same request with one field after the other made wrong, in each way that its schema can be broken. */
export function wrongRequests(route: Route, good: TestRequest, container: TestContainer): WrongRequest[] {
  return [...wrongPaths(route, good), ...wrongQueries(route, good), ...wrongBodies(route, good, container)];
}

function wrongPaths(route: Route, good: TestRequest): WrongRequest[] {
  const parts = route.path.split("/");
  return parts.flatMap((part, index) =>
    part.startsWith(":")
      ? wrongPathParts.map((wrong) => ({
          ...good,
          path: good.path.split("/").with(index, wrong).join("/"),
          field: part.slice(1),
          place: "path" as const,
        }))
      : [],
  );
}

const described = z.looseObject({
  type: z.string().optional(),
  enum: z.array(z.unknown()).optional(),
  const: z.unknown().optional(),
  minimum: z.number().optional(),
  maximum: z.number().optional(),
  maxLength: z.number().optional(),
  pattern: z.string().optional(),
  properties: z.record(z.string(), z.record(z.string(), z.unknown())).optional(),
  additionalProperties: z.unknown().optional(),
});

function wrongQueries(route: Route, good: TestRequest): WrongRequest[] {
  if (route.query === undefined || route.access === "signed") return [];
  const schema = described.parse(z.toJSONSchema(route.query, { io: "input" }));
  const fields = Object.entries(schema.properties ?? {}).flatMap(([field, inner]) =>
    wrongTexts(described.parse(inner)).map((value) => ({ field, values: [value] })),
  );
  const twice = Object.keys(schema.properties ?? {}).map((field) => ({ field, values: ["1", "2"] }));
  return [...fields, ...twice, { field: "query", values: ["1"] }].map(({ field, values }) => {
    const query = new URLSearchParams(good.query);
    query.delete(field);
    for (const value of values) query.append(field === "query" ? "unknown_field" : field, value);
    return { ...good, query, field, place: "query" };
  });
}

function wrongTexts({ type, enum: choices, maxLength, pattern }: z.output<typeof described>): string[] {
  if (choices !== undefined) return ["", "nonsense", "COMPLETED"];
  if (type === "integer" || type === "number")
    return ["", "abc", "-1", "0", "1e3", "1.5", "0x10", "99999999999999999999"];
  if (pattern !== undefined) {
    const texts = ["", "abc", "-1", "0", "1 OR 1=1", "../etc/passwd", "9".repeat(200)];
    return texts.filter((text) => !new RegExp(pattern).test(text));
  }
  return maxLength === undefined ? [] : ["a".repeat(maxLength + 1)];
}

function wrongBodies(route: Route, good: TestRequest, container: TestContainer): WrongRequest[] {
  const handler = container.runtime.registry.get("gated");
  if (route.body === undefined || handler === undefined) return [];
  const schema = route.takesJob ? jobSchema(handler) : z.toJSONSchema(route.body, { io: "input" });
  return wrongFields(described.parse(schema), []).map(({ path, value }) => ({
    ...good,
    body: changed(good.body, path, value),
    field: path.join("."),
    place: "body",
  }));
}

function wrongFields(schema: JsonSchema, prefix: readonly string[]): { path: string[]; value: unknown }[] {
  return Object.entries(described.parse(schema).properties ?? {}).flatMap(([name, inner]) => {
    const path = [...prefix, name];
    const here = wrongValues(described.parse(inner)).map((value) => ({ path, value }));
    return [...here, ...wrongFields(inner, path)];
  });
}

function wrongValues(schema: z.output<typeof described>): unknown[] {
  const { type, minimum, maximum, maxLength, pattern } = schema;
  return [
    ...(type === "string" || schema.const !== undefined ? [7, {}, ["a"]] : []),
    ...(type === "integer" || type === "number" ? ["seven", {}, true] : []),
    ...(type === "object" ? [7, "text", []] : []),
    ...(type === "integer" ? [1.5] : []),
    ...(minimum === undefined ? [] : [minimum - 1]),
    ...(maximum === undefined || maximum >= Number.MAX_SAFE_INTEGER ? [] : [maximum + 1]),
    ...(maxLength === undefined ? [] : ["a".repeat(maxLength + 1)]),
    ...(pattern === undefined ? [] : ["../etc/passwd", "a\r\nb"]),
  ];
}

function changed(body: unknown, [field = "", ...rest]: readonly string[], value: unknown): unknown {
  const object: Record<string, unknown> = { ...Object(body) };
  object[field] = rest.length === 0 ? value : changed(object[field], rest, value);
  return object;
}
