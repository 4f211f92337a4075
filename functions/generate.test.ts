import { writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { untilEvent } from "#test/support/runtime.ts";
import { generate } from "./api/generate.ts";
import { startContainer, type TestContainer } from "./testing/container.ts";

let container: TestContainer;
let url: string;
beforeAll(async () => {
  container = await startContainer();
  ({ url } = await container.listen());
});
afterAll(() => container.stop());

const lake = { type: "gated", prompt: "a quiet lake" };
const post = (body: unknown, headers: Record<string, string> = {}) =>
  container.call("POST", "/generate", { body, headers });
const withId = z.object({ job_id: z.string() });

it("answers with the completed job, whose files can be fetched", async () => {
  const { status, json, headers } = await post({ ...lake, config: { size: 20 } });
  expect(status).toBe(200);
  const job = generate.responses[200].parse(json);
  expect(job).toEqual(json);
  expect(job).toMatchObject({ status: "completed", progress: 1 });
  expect(headers.get("location")).toBe(`http://localhost/jobs/${job.job_id}`);
  const file = await container.call("GET", job.assets[0]?.url ?? "");
  expect(file.text).toBe("01234567890123456789");
});

describe("with its files in the answer", () => {
  const text = z.object({ assets: z.array(z.object({ base64: z.string().nullable(), size_bytes: z.number() })) });

  it("they are there in base64, here and in GET /jobs/:id", async () => {
    const { status, json } = await container.call("POST", "/generate?inline=base64", {
      body: { ...lake, config: { size: 20 } },
    });
    expect([status, generate.responses[200].parse(json)]).toEqual([200, json]);
    const expected = [Buffer.from("01234567890123456789").toString("base64")];
    expect(text.parse(json).assets.map(({ base64 }) => base64)).toEqual(expected);
    const { job_id } = withId.parse(json);
    const again = await container.call("GET", `/jobs/${job_id}?inline=base64`);
    expect(text.parse(again.json).assets.map(({ base64 }) => base64)).toEqual(expected);
    const plain = await container.call("GET", `/jobs/${job_id}`);
    expect(JSON.stringify(plain.json)).not.toContain("base64");
  });

  it("what is too large is refused with its size, and the job is there", async () => {
    const { status, json } = await container.call("POST", "/generate?inline=base64", {
      body: { ...lake, id: "too-large", config: { size: 8 * 1024 * 1024 + 1 } },
    });
    expect([status, json]).toMatchObject([
      413,
      {
        code: "RESULT_TOO_LARGE",
        error: expect.stringContaining("8388609 bytes: an answer holds at most 8388608"),
        details: { job_id: "too-large", bytes: 8_388_609, max_bytes: 8_388_608 },
      },
    ]);
    expect((await container.call("GET", "/jobs/too-large")).json).toMatchObject({ status: "completed" });
  });

  it("what is not there any more is null", async () => {
    const { json } = await post({ ...lake, id: "without-file", config: { size: 3 } });
    await container.runtime.files.removeJob({ bucket: "gated", userId: "anonymous", jobId: "without-file" });
    const { job_id } = withId.parse(json);
    const again = await container.call("GET", `/jobs/${job_id}?inline=base64`);
    expect(text.parse(again.json).assets.map(({ base64 }) => base64)).toEqual([null]);
  });

  it("in another form is refused", async () => {
    const { status, json } = await container.call("POST", "/generate?inline=hex", { body: lake });
    expect([status, json]).toMatchObject([400, { code: "INVALID_REQUEST" }]);
  });
});

describe("a job that does not complete", () => {
  it("within its own time fails at once", async () => {
    const { status, json } = await post({ ...lake, config: { gate: "/nowhere/at/all", timeout_seconds: 0.2 } });
    expect([status, json]).toMatchObject([
      504,
      { code: "TIMED_OUT", error: "The job took longer than its own limit of 0.2 s (config.timeout_seconds)." },
    ]);
  });

  it("whose moment is over is refused, and ends at once where the request may be a repeat", async () => {
    const late = { ...lake, config: { expires_at: "2026-01-01T00:00:00Z" } };
    const { status, json } = await post(late);
    expect([status, json]).toMatchObject([
      422,
      {
        code: "INVALID_JOB",
        details: [{ field: "config.expires_at", message: expect.stringContaining("must be later than now") }],
      },
    ]);
    expect(await post(late, { "Idempotency-Key": "late" })).toMatchObject({
      status: 504,
      json: { code: "EXPIRED", error: expect.stringContaining("its own moment had come (config.expires_at).") },
    });
  });

  it("is answered with its own error", async () => {
    const { status, json } = await post({ ...lake, config: { fail: "as asked" } });
    expect(status).toBe(500);
    expect(json).toMatchObject({
      success: false,
      code: "HANDLER_FAILED",
      error: "as asked",
      details: { job_id: expect.any(String) },
    });
  });

  it("because it was cancelled is answered so", async () => {
    const id = "to-be-cancelled";
    const answer = post({ ...lake, id, config: { gate: "/nowhere/at/all" } });
    await expect.poll(async () => (await container.runtime.queue.get(id))?.status).toBe("running");
    await container.call("DELETE", `/jobs/${id}`);
    expect(await answer).toMatchObject({ status: 499, json: { code: "CANCELLED", details: { job_id: id } } });
  });
});

describe("not waited for", () => {
  it.each([
    ["respond-async", "because it was not wanted"],
    ["wait=0", "because the wait is over"],
  ])("%s: the job goes on, %s", async (prefer) => {
    const { status, json, headers } = await post(lake, { Prefer: prefer });
    expect(status).toBe(202);
    expect(generate.responses[202].parse(json)).toEqual(json);
    const { job_id } = withId.parse(json);
    expect(headers.get("location")).toBe(`http://localhost/jobs/${job_id}`);
    await container.runtime.ended(job_id);
    expect(await container.runtime.queue.get(job_id)).toMatchObject({ status: "completed" });
  });

  it("a job that nobody can run: the answer says what it waits for", async () => {
    const { status, json } = await post({ ...lake, model_variant: "weaver" }, { Prefer: "wait=1" });
    expect([status, json]).toMatchObject([
      202,
      { status: "queued", waiting_for: { type: "gated", model: "weaver" }, waiting_reason: null },
    ]);
    await container.runtime.queue.cancel(withId.parse(json).job_id);
  });
});

describe("a client that leaves", () => {
  /** Sends the request, and is gone when its job runs; returns the job's id. */
  const leave = async (body: Record<string, unknown>, headers: Record<string, string> = {}) => {
    const left = new AbortController();
    const answer = fetch(`${url}/generate`, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...headers },
      body: JSON.stringify(body),
      signal: left.signal,
    }).catch(() => null);
    const running = () => container.runtime.queue.list({ limit: 1, status: "running" });
    await expect.poll(async () => (await running()).jobs.length).toBe(1);
    const id = (await running()).jobs[0]?.job.id ?? "";
    left.abort();
    await answer;
    return id;
  };
  const placesLeft = () => expect.poll(() => container.app.streams.size).toBe(0);
  const gated = (name: string) => ({ ...lake, config: { gate: join(container.runtime.folder, name) } });
  const open = (name: string) => writeFile(join(container.runtime.folder, name), "");

  it("cancels the job that it made and cannot name, and frees its place", async () => {
    const id = await leave(gated("never-opened"));
    expect(await container.runtime.ended(id)).toMatchObject({ status: "cancelled" });
    await placesLeft();
  });

  it("does not cancel a job that was there before", async () => {
    const { id, open: letGo } = await container.submitGated();
    const record = await container.runtime.queue.get(id);
    await untilEvent(container.runtime, id, (event) => event.kind === "progress");
    await leave({ ...record?.job });
    await placesLeft();
    await letGo();
    expect(await container.runtime.ended(id)).toMatchObject({ status: "completed" });
  });

  it.each([
    ["its id", { id: "lost-and-found" }, {}],
    ["its key in the body", { idempotency_key: "order-1" }, {}],
    ["its key in the header", {}, { "Idempotency-Key": "order-2" }],
  ])("and comes back with %s gets the result, and so does whoever else asks", async (name, fields, headers) => {
    const body = { ...gated(name), ...fields };
    const id = await leave(body, headers);
    await placesLeft();
    const answers = [post(body, headers), post(body, headers)];
    await expect.poll(() => container.app.streams.size).toBe(2);
    await open(name);
    for (const answer of await Promise.all(answers))
      expect(answer).toMatchObject({ status: 200, json: { job_id: id, status: "completed", attempt: 1 } });
    expect(await post(body, headers)).toMatchObject({ status: 200, json: { job_id: id } });
  });

  it("leaves a job without a name to another request that waits for it", async () => {
    const body = gated("shared");
    const left = new AbortController();
    const headers = { "Content-Type": "application/json" };
    const first = fetch(`${url}/generate`, {
      method: "POST",
      headers,
      body: JSON.stringify(body),
      signal: left.signal,
    });
    await expect
      .poll(async () => (await container.runtime.queue.list({ limit: 1, status: "running" })).jobs.length)
      .toBe(1);
    const [{ job } = { job: { id: "" } }] = (await container.runtime.queue.list({ limit: 1, status: "running" })).jobs;
    const second = post({ ...body, id: job.id });
    await expect.poll(() => container.app.streams.size).toBe(2);
    left.abort();
    await expect(first).rejects.toThrow();
    await expect.poll(() => container.app.streams.size).toBe(1);
    await open("shared");
    expect(await second).toMatchObject({ status: 200, json: { job_id: job.id, status: "completed" } });
  });
});

describe("a client that has sent all that it will", () => {
  const half = async (gate: string) => {
    const body = JSON.stringify({ ...lake, config: { gate: join(container.runtime.folder, gate) } });
    const socket = connect({ port: Number(new URL(url).port), host: "127.0.0.1", allowHalfOpen: true });
    const head = `POST /generate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n`;
    socket.end(`${head}Content-Length: ${body.length}\r\n\r\n${body}`);
    const running = () => container.runtime.queue.list({ limit: 1, status: "running" });
    await expect.poll(async () => (await running()).jobs.length).toBe(1);
    return { socket, id: (await running()).jobs[0]?.job.id ?? "" };
  };

  it("and closes its half of the connection gets its answer", async () => {
    const { socket } = await half("half-closed");
    await writeFile(join(container.runtime.folder, "half-closed"), "");
    const answer = await text(socket);
    expect(answer).toMatch(/^(?:HTTP\/1\.1 102 Processing\r\n\r\n)+HTTP\/1\.1 200 OK/);
    expect(answer).toContain('"status":"completed"');
  });

  it("and then closes the other half too cancels its job", async () => {
    const { socket, id } = await half("closed-whole");
    socket.destroy();
    expect(await container.runtime.ended(id)).toMatchObject({ status: "cancelled" });
  });
});

it("what is waited for is bounded: with no place left, no job is made", async () => {
  const places = Array.from({ length: 1000 }, () => container.app.streams.hold());
  const { status, json, headers } = await post({ ...lake, id: "one-too-many" });
  for (const place of places) place.abort();
  expect({ status, json }).toMatchObject({ status: 503, json: { code: "OVERLOADED" } });
  expect(headers.get("retry-after")).toBe("10");
  expect(await container.runtime.queue.get("one-too-many")).toBeNull();
});

it("a container that shuts down answers 202, and keeps the job", async () => {
  const other = await startContainer();
  other.runtime.dispatcher.pause();
  const answer = other.call("POST", "/generate", { body: { ...lake, id: "kept" } });
  await expect.poll(() => other.runtime.queue.get("kept")).not.toBeNull();
  other.app.streams.close();
  expect(await answer).toMatchObject({ status: 202, json: { job_id: "kept", status: "queued" } });
  await other.stop();
});
