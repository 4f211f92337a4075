import { randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { z } from "zod";
import { createJob } from "./api/jobs-create.ts";
import { startContainer, type TestContainer } from "./testing/container.ts";

const accepted = z.object({ job_id: z.string(), queue_position: z.number(), created: z.boolean() });

let container: TestContainer;
beforeAll(async () => {
  container = await startContainer();
  // Jobs stay where they are put.
  container.runtime.dispatcher.pause();
});
afterAll(() => container.stop());

const post = (body: unknown, headers: Record<string, string> = {}) =>
  container.call("POST", "/jobs", { body, headers });
const lake = { type: "gated", prompt: "a quiet lake" };

it("of a type whose handler's file is broken can be handed in later, and no path is shown", async () => {
  const handlers = await mkdtemp(join(tmpdir(), "ourvidz-handlers-"));
  onTestFinished(() => rm(handlers, { recursive: true, force: true }));
  const zod = JSON.stringify(fileURLToPath(import.meta.resolve("zod")));
  await writeFile(join(handlers, "broken.ts"), "export default {{");
  await writeFile(
    join(handlers, "whole.ts"),
    `import { z } from ${zod};
     export default { type: "whole", worker: "test", produces: "nothing", input: z.any(), retry: { maxAttempts: 1, timeoutSeconds: 5 }, run: async () => ({}) };`,
  );
  const other = await startContainer({ HANDLERS_DIR: handlers });
  onTestFinished(() => other.stop());
  for (const path of ["/jobs", "/generate"]) {
    const { status, json } = await other.call("POST", path, { body: { type: "broken", prompt: "a quiet lake" } });
    expect([status, json]).toMatchObject([503, { code: "NOT_READY", error: expect.stringContaining("broken") }]);
    expect(JSON.stringify(json)).not.toContain(handlers);
  }
});

describe("a job", () => {
  it("is enqueued as it was given", async () => {
    const job = {
      ...lake,
      config: { size: 20 },
      metadata: { a: 1 },
      user_id: "user-1",
      priority: 5,
      image_id: "row-9",
    };
    const { status, json, headers } = await post(job);
    expect(status).toBe(202);
    expect(createJob.responses[202]?.parse(json)).toEqual(json);
    const { job_id } = accepted.parse(json);
    expect(json).toMatchObject({ status: "queued", created: true });
    expect(headers.get("location")).toBe(`http://localhost/jobs/${job_id}`);
    const record = await container.runtime.queue.get(job_id);
    expect(record?.job).toEqual({ ...job, id: job_id });
    expect(record?.worker).toBe("test");
  });

  it("may bring its id", async () => {
    const id = randomUUID();
    expect(await post({ ...lake, id })).toMatchObject({ status: 202, json: { job_id: id } });
  });

  it("goes before those of lower priority", async () => {
    const first = accepted.parse((await post({ ...lake, priority: 90 })).json);
    const second = accepted.parse((await post({ ...lake, priority: 100 })).json);
    expect([first.queue_position, second.queue_position]).toEqual([1, 1]);
  });

  it("may wait before it is due", async () => {
    const { job_id } = accepted.parse((await post({ ...lake, delay_seconds: 3600 })).json);
    const record = await container.runtime.queue.get(job_id);
    expect(record && record.availableAtMs - record.createdAtMs).toBe(3_600_000);
    expect(record?.job).not.toHaveProperty("delay_seconds");
  });

  it("has the fields listed that nothing reads", async () => {
    expect((await post({ ...lake, promt: "typo", Config: {}, priority: 1 })).json).toMatchObject({
      ignored: ["promt", "Config"],
      did_you_mean: { Config: "config" },
    });
    expect((await post({ ...lake, callback_url: "https://app.example/ended" })).json).toMatchObject({
      ignored: ["callback_url"],
      did_you_mean: { callback_url: "webhook_url" },
    });
    const { json } = await post(lake);
    expect(json).toMatchObject({ ignored: [] });
    expect(json).not.toHaveProperty("did_you_mean");
  });
});

describe("the same request again", () => {
  it.each([
    ["with its key in the body", (key: string) => post({ ...lake, idempotency_key: key })],
    ["with its key in the header", (key: string) => post(lake, { "Idempotency-Key": key })],
    ["with its id", (key: string) => post({ ...lake, id: key })],
    ["with the key in both", (key: string) => post({ ...lake, idempotency_key: key }, { "Idempotency-Key": key })],
  ])("%s answers the first job", async (_name, send) => {
    const key = randomUUID();
    const first = await send(key);
    const again = await send(key);
    expect(first).toMatchObject({ status: 202, json: { created: true } });
    expect(again).toMatchObject({ status: 200, json: { created: false, status: "queued" } });
    expect(accepted.parse(again.json).job_id).toBe(accepted.parse(first.json).job_id);
  });

  it("reports what has become of the job", async () => {
    const id = randomUUID();
    await post({ ...lake, id });
    await container.runtime.queue.cancel(id);
    expect(await post({ ...lake, id })).toMatchObject({
      status: 200,
      json: { status: "cancelled", queue_position: 0 },
    });
  });

  it("is refused with another body", async () => {
    const headers = { "Idempotency-Key": randomUUID() };
    await post(lake, headers);
    expect(await post({ ...lake, prompt: "a river" }, headers)).toMatchObject({
      status: 409,
      json: { code: "IDEMPOTENCY_CONFLICT" },
    });
  });

  it.each([{ "Idempotency-Key": "a" }, { "Idempotency-Key": "x".repeat(256) }])("is refused: %j", async (headers) => {
    expect(await post({ ...lake, idempotency_key: "b" }, headers)).toMatchObject({
      status: 400,
      json: { code: "INVALID_REQUEST" },
    });
  });
});

describe("what is wrong", () => {
  it("is reported all at once, the handler's rules and everybody's, each field once", async () => {
    const { status, json } = await post({
      type: "gated",
      id: "no/id",
      prompt: "",
      priority: 101,
      config: { size: 0 },
      delay_seconds: -1,
      idempotency_key: "",
    });
    expect(status).toBe(422);
    const problems = z
      .object({
        code: z.literal("INVALID_JOB"),
        details: z.array(z.object({ field: z.string(), message: z.string() })),
      })
      .parse(json).details;
    expect(problems.map(({ field }) => field).toSorted()).toEqual([
      "config.size",
      "delay_seconds",
      "id",
      "idempotency_key",
      "priority",
      "prompt",
    ]);
    expect(problems.find(({ field }) => field === "prompt")?.message).toBe("must not be empty");
  });

  it.each(["nope", "", "Gated", "../gated", "__proto__", "toString", "x".repeat(10_000)])(
    "of the type %j: the known ones are named",
    async (type) => {
      expect(await post({ ...lake, type })).toMatchObject({
        status: 422,
        json: { success: false, code: "UNKNOWN_JOB_TYPE", details: { known: ["gated"] } },
      });
    },
  );

  it.each([[[]], ["text"], [7], [null], [{}], [{ type: 7 }], [{ type: null }]])("of the body %j", async (body) => {
    expect(await post(JSON.stringify(body))).toMatchObject({ status: 422, json: { code: "INVALID_JOB" } });
  });

  it("of the bytes", async () => {
    expect(await post('{"type": "gat')).toMatchObject({ status: 400, json: { code: "INVALID_REQUEST" } });
    expect(await post("{}", { "Content-Type": "text/plain" })).toMatchObject({ status: 415 });
    expect(await post(`"${"a".repeat(10 * 1024 * 1024)}"`)).toMatchObject({ status: 413 });
  });

  it("does not repeat secrets", async () => {
    const { text } = await post({ ...lake, id: "https://files.test/?token=verysecret" });
    expect(text).not.toContain("verysecret");
  });
});
