import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { untilEvent } from "#test/support/runtime.ts";
import { jobEvents } from "./api/jobs-events.ts";
import type { NamedEvent } from "./http/event-stream.ts";
import type { RunningServer } from "./server.ts";
import { startContainer, type TestContainer } from "./testing/container.ts";
import { inShort, readEvents } from "./testing/events.ts";

let container: TestContainer;
let server: RunningServer;
beforeAll(async () => {
  container = await startContainer();
  server = await container.listen();
});
afterAll(() => container.stop());

function open(id: string, init: RequestInit = {}): Promise<Response> {
  return fetch(`${server.url}/jobs/${id}/events`, init);
}

async function collect(response: Response): Promise<NamedEvent[]> {
  return Array.fromAsync(readEvents(response));
}

const whole = ["queued 0", "running 1", "preview", "50 %", "100 %", "completed 1"];

it("reports a job as it runs, and closes after its final state", async () => {
  const job = await container.submitGated();
  const response = await open(job.id);
  expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
  expect(response.headers.get("cache-control")).toContain("no-store");
  const events: NamedEvent[] = [];
  for await (const event of readEvents(response)) {
    events.push(event);
    if (inShort(event) === "50 %") await job.open();
  }
  expect(events.map(inShort)).toEqual(whole);
  for (const { data } of events) expect(jobEvents.responses[200]?.parse(data)).toEqual(data);
  expect(new Set(events.map(({ id }) => id)).size).toBe(events.length);
  expect(events.at(-1)?.data).toMatchObject({ job: { job_id: job.id, status: "completed", assets: [{ index: 0 }] } });
  expect(container.app.streams.size).toBe(0);
});

it("sends all of it to whoever comes when it is over, and the rest to whoever comes back", async () => {
  const job = await container.submitGated();
  await job.open();
  await container.runtime.ended(job.id);
  const events = await collect(await open(job.id));
  expect(events.map(inShort)).toEqual(whole);
  for (const [index, { id }] of events.entries()) {
    const response = await open(job.id, { headers: { "Last-Event-ID": id } });
    if (index === events.length - 1) {
      // An EventSource would otherwise come back for ever.
      expect(response.status).toBe(204);
    } else {
      expect((await collect(response)).map(inShort)).toEqual(whole.slice(index + 1));
    }
  }
});

it("reports a job that another container on the same database runs", async () => {
  container.runtime.dispatcher.pause();
  const job = await container.submitGated();
  const response = await open(job.id);
  const other = await startContainer({ DATA_DIR: container.runtime.folder });
  const events: NamedEvent[] = [];
  for await (const event of readEvents(response)) {
    events.push(event);
    if (inShort(event) === "running 1") await job.open();
  }
  const states = events.filter(({ event }) => event === "state").map(inShort);
  expect(states).toEqual(["queued 0", "running 1", "completed 1"]);
  expect(events.at(-1)?.data).toMatchObject({ job: { status: "completed", assets: [{ index: 0 }] } });
  await other.runtime.stop();
  container.runtime.dispatcher.resume();
});

it("reports that a job was cancelled while it waited", async () => {
  const first = await container.submitGated();
  await untilEvent(container.runtime, first.id, (event) => event.kind === "progress");
  const second = await container.submitGated();
  const events = open(second.id).then(collect);
  await container.call("DELETE", `/jobs/${second.id}`);
  expect((await events).map(inShort)).toEqual(["queued 0", "cancelled 0"]);
  await first.open();
  await container.runtime.ended(first.id);
});

describe("a reader that leaves", () => {
  it("leaves nothing behind", async () => {
    const job = await container.submitGated();
    const leaving = new AbortController();
    const readers = await Promise.all([1, 2, 3].map(() => open(job.id, { signal: leaving.signal })));
    const stayed = await open(job.id);
    for (const reader of readers) await readEvents(reader).next();
    expect(container.app.streams.size).toBe(4);
    leaving.abort();
    await job.open();
    expect((await collect(stayed)).map(inShort)).toEqual(whole);
    await expect.poll(() => container.app.streams.size).toBe(0);
  });
});

it("HEAD opens no stream", async () => {
  const job = await container.submitGated();
  const response = await open(job.id, { method: "HEAD" });
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toMatch(/^text\/event-stream/);
  expect(container.app.streams.size).toBe(0);
  await job.open();
  await container.runtime.ended(job.id);
});

it("has no job to report", async () => {
  const response = await open("unknown");
  expect(response.status).toBe(404);
  expect(await response.json()).toMatchObject({ code: "JOB_NOT_FOUND" });
});
