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
  expect(headers.get("location")).toBe(`/jobs/${job.job_id}`);
  const file = await container.call("GET", job.assets[0]?.url ?? "");
  expect(file.text).toBe("01234567890123456789");
});

describe("a job that does not complete", () => {
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
    expect(headers.get("location")).toBe(`/jobs/${job_id}`);
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
  const leave = async (body: Record<string, unknown>) => {
    const left = new AbortController();
    const answer = fetch(`${url}/generate`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal: left.signal,
    }).catch(() => null);
    await expect.poll(async () => (await container.runtime.queue.get(String(body.id)))?.status).toBe("running");
    left.abort();
    await answer;
  };

  it("cancels the job that it made, and frees its place", async () => {
    await leave({ ...lake, id: "left-alone", config: { gate: "/nowhere/at/all" } });
    expect(await container.runtime.ended("left-alone")).toMatchObject({ status: "cancelled" });
    await expect.poll(() => container.app.streams.size).toBe(0);
  });

  it("does not cancel a job that was there before", async () => {
    const { id, open } = await container.submitGated();
    const record = await container.runtime.queue.get(id);
    await untilEvent(container.runtime, id, (event) => event.kind === "progress");
    await leave({ ...record?.job });
    await expect.poll(() => container.app.streams.size).toBe(0);
    await open();
    expect(await container.runtime.ended(id)).toMatchObject({ status: "completed" });
  });
});

describe("a client that has sent all that it will", () => {
  const half = async (id: string) => {
    const body = JSON.stringify({ ...lake, id, config: { gate: join(container.runtime.folder, id) } });
    const socket = connect({ port: Number(new URL(url).port), host: "127.0.0.1", allowHalfOpen: true });
    const head = `POST /generate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n`;
    socket.end(`${head}Content-Length: ${body.length}\r\n\r\n${body}`);
    await expect.poll(async () => (await container.runtime.queue.get(id))?.status).toBe("running");
    return socket;
  };

  it("and closes its half of the connection gets its answer", async () => {
    const socket = await half("half-closed");
    await writeFile(join(container.runtime.folder, "half-closed"), "");
    const answer = await text(socket);
    expect(answer).toMatch(/^(?:HTTP\/1\.1 102 Processing\r\n\r\n)+HTTP\/1\.1 200 OK/);
    expect(answer).toContain('"status":"completed"');
  });

  it("and then closes the other half too cancels its job", async () => {
    const socket = await half("closed-whole");
    socket.destroy();
    expect(await container.runtime.ended("closed-whole")).toMatchObject({ status: "cancelled" });
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
