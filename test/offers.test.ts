import { cp, mkdir, mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { z } from "zod";
import { onnxBytes } from "#runtime/check/models/testing/onnx-bytes.ts";
import { type ContainerProcess, startContainerProcess } from "./support/container-process.ts";
import { startTestGateway } from "./support/gateway.ts";
import { freePort } from "./support/machine.ts";
import { startProject } from "./support/supabase/project.ts";

/*
 * Containers as they are started, on one queue: one that can run everything, and one that lacks something of each kind. What
 * a container lacks fails no job: each goes to the one that can, and to the other as soon as it can too.
 */
const zod = fileURLToPath(import.meta.resolve("zod"));
const types = ["count", "paint", "sketch", "weave", "sort"] as const;

/** One attempt: whatever is charged fails the job. */
function handler(type: string, model?: string): string {
  return `import { z } from ${JSON.stringify(zod)};
    export default {
      type: "${type}", worker: "test", produces: "nothing", input: z.looseObject({ id: z.string() }),
      ${model === undefined ? "" : `model: "${model}",`} retry: { maxAttempts: 1, timeoutSeconds: 20 },
      async run(job, ctx) { ${model === undefined ? "" : "await ctx.model();"} return {}; },
    };`;
}

const weights = { location: "model.onnx_data", offset: 0, length: 16 };

let folder: string;
let containers: ContainerProcess[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ourvidz-offers-"));
  containers = [];
});

afterEach(async () => {
  for (const container of containers) await container.kill();
  await rm(folder, { recursive: true, force: true });
});

/** Folders of a container that can run everything. */
async function furnish(name: string): Promise<{ handlers: string; models: string }> {
  const [handlers, models] = [join(folder, name, "handlers"), join(folder, name, "models")];
  await mkdir(handlers, { recursive: true });
  for (const model of ["painter", "sketcher"]) await furnishModel(models, model);
  for (const type of ["count", "weave", "sort"]) await writeFile(join(handlers, `${type}.ts`), handler(type));
  await writeFile(join(handlers, "paint.ts"), handler("paint", "painter"));
  await writeFile(join(handlers, "sketch.ts"), handler("sketch", "sketcher"));
  return { handlers, models };
}

async function furnishModel(models: string, name: string): Promise<void> {
  await mkdir(join(models, name), { recursive: true });
  await writeFile(join(models, name, "model.onnx"), onnxBytes([{ name: "w", external: weights }]));
  await writeFile(join(models, name, "model.onnx_data"), new Uint8Array(16));
}

interface Started {
  readonly process: ContainerProcess;
  call(method: string, path: string, body?: unknown): Promise<{ status: number; json: unknown }>;
  submit(type: string, fields?: object): Promise<string>;
  job(id: string): Promise<z.output<typeof jobView>>;
}

const jobView = z.looseObject({
  status: z.string(),
  attempts: z.array(z.looseObject({ worker_id: z.string(), outcome: z.string() })),
  waiting_for: z.object({ type: z.string(), model: z.string().nullable() }).nullable(),
});

async function start(name: string, env: Record<string, string>): Promise<Started> {
  const port = String(await freePort());
  const { handlers, models } = { handlers: join(folder, name, "handlers"), models: join(folder, name, "models") };
  const container = startContainerProcess({
    WORKER_ID: name,
    PORT: port,
    HANDLERS_DIR: handlers,
    MODELS_DIR: models,
    ...env,
  });
  containers.push(container);
  const call: Started["call"] = async (method, path, body) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
    });
    return { status: response.status, json: await response.json() };
  };
  await expect.poll(() => call("GET", "/health").catch(() => null), { timeout: 60_000 }).not.toBeNull();
  return {
    process: container,
    call,
    async submit(type, fields = {}) {
      const { status, json } = await call("POST", "/jobs", { type, prompt: "a quiet lake", ...fields });
      expect([status, json]).toMatchObject([202, {}]);
      return z.object({ job_id: z.string() }).parse(json).job_id;
    },
    job: async (id) => jobView.parse((await call("GET", `/jobs/${id}`)).json),
  };
}

/** The containers that ran the jobs, by type, when all are through; none may have failed. */
async function runners(at: Started, jobs: readonly { readonly id: string; readonly type: string }[]) {
  const ran: Record<string, string[]> = {};
  for (const { id, type } of jobs) {
    await expect.poll(async () => (await at.job(id)).status, { timeout: 60_000 }).toBe("completed");
    const { attempts } = await at.job(id);
    const worker = attempts.find(({ outcome }) => outcome === "completed")?.worker_id ?? "nobody";
    ran[type] = [...new Set([...(ran[type] ?? []), worker])].sort();
  }
  return ran;
}

async function submitEach(at: Started, count: number) {
  const jobs: { id: string; type: string }[] = [];
  for (let round = 0; round < count; round++) for (const type of types) jobs.push({ id: await at.submit(type), type });
  return jobs;
}

/** Every kind of queue, made anew for each test. */
const queues: readonly (readonly [string, () => Promise<Record<string, string>>])[] = [
  ["the embedded queue", async () => ({ DATA_DIR: join(folder, "data") })],
  [
    "Redis",
    async () => {
      const gateway = await startTestGateway();
      onTestFinished(() => gateway.close());
      return { UPSTASH_REDIS_REST_URL: gateway.url, UPSTASH_REDIS_REST_TOKEN: gateway.token };
    },
  ],
  [
    "the tables of a Supabase project",
    async () => {
      const project = await startProject({ queue: false, newKeys: true });
      onTestFinished(() => project.stop());
      return {
        SOURCES: "supabase",
        SUPABASE_URL: project.door.url,
        SUPABASE_SERVICE_KEY: project.door.secretKey,
        JOB_CALLBACK_SECRET: project.callbackSecret,
        HEARTBEAT_SECONDS: "0",
      };
    },
  ],
];

describe.each(queues)("on %s", (_name, makeQueue) => {
  const envOf = (queue: Record<string, string>, container: string) =>
    "DATA_DIR" in queue ? queue : { ...queue, DATA_DIR: join(folder, container, "data") };

  it("what one container lacks goes to the other, and to both when it is mended", { timeout: 180_000 }, async () => {
    const queue = await makeQueue();
    await furnish("able");
    const { handlers, models } = await furnish("unable");
    await rm(join(handlers, "weave.ts"));
    await writeFile(join(handlers, "sort.ts"), "export default {{");
    await rm(join(models, "painter"), { recursive: true });
    await truncate(join(models, "sketcher/model.onnx_data"), 8);

    const unable = await start("unable", envOf(queue, "unable"));
    await expect.poll(async () => (await unable.call("GET", "/ready")).status, { timeout: 60_000 }).toBe(200);
    const able = await start("able", envOf(queue, "able"));
    const jobs = await submitEach(able, 4);
    const ran = await runners(able, jobs);
    expect({ ...ran, count: [] }).toEqual({
      count: [],
      paint: ["able"],
      sketch: ["able"],
      weave: ["able"],
      sort: ["able"],
    });
    const limits = ["model painter MODEL_NOT_FOUND", "model sketcher MODEL_INVALID", "type sort HANDLER_INVALID"];
    expect(await limitsOf(unable)).toEqual(limits);
    expect((await unable.call("GET", "/health")).json).toMatchObject({
      status: "degraded",
      capabilities: ["count"],
    });
    expect((await able.call("GET", "/health")).json).toMatchObject({ status: "healthy", limited: [] });

    await writeFile(join(handlers, "weave.ts"), handler("weave"));
    await writeFile(join(handlers, "sort.ts"), handler("sort"));
    await cp(join(folder, "able/models"), models, { recursive: true });
    await expect.poll(() => limitsOf(unable), { timeout: 60_000 }).toEqual([]);
    await able.process.stop();
    const more = await submitEach(unable, 1);
    expect(await runners(unable, more)).toEqual(Object.fromEntries(types.map((type) => [type, ["unable"]])));
  });

  it("a job that nobody can run waits visibly, and uncharged, until the model comes or its own time is over", {
    timeout: 180_000,
  }, async () => {
    const queue = await makeQueue();
    const { models } = await furnish("alone");
    await rm(join(models, "painter"), { recursive: true });
    await truncate(join(models, "sketcher/model.onnx_data"), 8);
    const alone = await start("alone", envOf(queue, "alone"));
    await expect.poll(() => limitsOf(alone), { timeout: 60_000 }).toContain("model sketcher MODEL_INVALID");
    const broken = await alone.submit("sketch");
    const waiting = await alone.submit("paint");
    const named = await alone.submit("count", { model_variant: "weaver" });
    const expiring = await alone.submit("paint", { config: { expires_in_seconds: 4 } });
    expect((await alone.job(await alone.submit("count"))).attempts.length).toBeLessThanOrEqual(1);

    await expect
      .poll(async () => (await alone.job(waiting)).waiting_for, { timeout: 60_000 })
      .toEqual({ type: "paint", model: null });
    expect(await alone.job(named)).toMatchObject({ status: "queued", waiting_for: { type: "count", model: "weaver" } });
    await expect.poll(async () => (await alone.job(expiring)).status, { timeout: 60_000 }).toBe("failed");
    expect(await alone.job(expiring)).toMatchObject({ error: { code: "EXPIRED" }, attempts: [] });

    await furnishModel(models, "painter");
    await expect.poll(async () => (await alone.job(waiting)).status, { timeout: 60_000 }).toBe("completed");
    await furnishModel(models, "weaver");
    await expect.poll(async () => (await alone.job(named)).status, { timeout: 60_000 }).toBe("completed");

    // One that waits when a container starts, before the container knows that its model is broken.
    await alone.process.kill();
    const second = await start("alone", envOf(queue, "alone"));
    await expect.poll(() => limitsOf(second), { timeout: 60_000 }).toEqual(["model sketcher MODEL_INVALID"]);
    await expect.poll(async () => (await second.job(broken)).status, { timeout: 60_000 }).toBe("queued");
    await furnishModel(models, "sketcher");
    await expect.poll(async () => (await second.job(broken)).status, { timeout: 60_000 }).toBe("completed");
    // Its handler allows one attempt: a charged one would have ended it.
    expect((await second.job(broken)).attempts.filter(({ outcome }) => outcome !== "released")).toHaveLength(1);
  });
});

/** What a container says that it does not run. */
async function limitsOf(container: Started): Promise<string[]> {
  const limit = z.object({ kind: z.string(), subject: z.string(), code: z.string() });
  const { json } = await container.call("GET", "/ready");
  const { limited } = z.object({ limited: z.array(limit) }).parse(json);
  return limited.map(({ kind, subject, code }) => `${kind} ${subject} ${code}`).sort();
}
