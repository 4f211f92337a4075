import { afterAll, beforeAll, expect, it } from "vitest";
import { z } from "zod";
import { startTestGateway, type TestGateway } from "#test/support/gateway.ts";
import { listJobs } from "./api/jobs-list.ts";
import { listQueues } from "./api/queues-list.ts";
import { startContainer, type TestContainer } from "./testing/container.ts";

/* The routes of a container that takes jobs from Redis and from its own data folder. */
let gateway: TestGateway;
let container: TestContainer;

beforeAll(async () => {
  gateway = await startTestGateway();
  container = await startContainer({
    UPSTASH_REDIS_REST_URL: gateway.url,
    UPSTASH_REDIS_REST_TOKEN: gateway.token,
    SOURCES: "upstash,sqlite",
  });
});
afterAll(async () => {
  await container.stop();
  await gateway.close();
});

const lake = { type: "gated", prompt: "a quiet lake" };
const sourceQuery = (source: string | null) => (source === null ? "" : `?source=${source}`);

async function post(source: string | null, body: object = {}): Promise<string> {
  const { status, json } = await container.call("POST", `/jobs${sourceQuery(source)}`, { body: { ...lake, ...body } });
  expect(status).toBe(202);
  return z.object({ job_id: z.string() }).parse(json).job_id;
}

const holds = async (source: string, id: string) =>
  (await container.runtime.queue.byName.get(source)?.get(id))?.job.id === id;

it("puts a job on the first source, or on the one that is named, and refuses others", async () => {
  const [unnamed, near] = [await post(null), await post("sqlite")];
  expect([await holds("upstash", unnamed), await holds("sqlite", near)]).toEqual([true, true]);
  const unknown = await container.call("POST", "/jobs?source=supabase", { body: lake });
  expect(unknown).toMatchObject({ status: 400, json: { code: "INVALID_REQUEST", error: /upstash, sqlite/ } });
  expect((await container.call("POST", "/jobs?sauce=sqlite", { body: lake })).status).toBe(400);
  for (const id of [unnamed, near]) await container.runtime.ended(id);
});

it.each(["upstash", "sqlite"])("shows, follows, cancels and retries a job of %s", async (source) => {
  const waiting = await post(source, { delay_seconds: 3600 });
  expect(await container.call("GET", `/jobs/${waiting}`)).toMatchObject({ status: 200, json: { status: "queued" } });
  expect(await container.call("DELETE", `/jobs/${waiting}`)).toMatchObject({ status: 200 });
  expect((await container.call("GET", `/jobs/${waiting}/events`)).text).toContain('"cancelled"');
  const failing = await post(source, { config: { stumble: "as asked" } });
  await container.runtime.ended(failing);
  expect(await container.call("POST", `/jobs/${failing}/retry`)).toMatchObject({ status: 202 });
  const generated = await container.call("POST", `/generate?source=${source}`, { body: lake });
  expect(generated).toMatchObject({ status: 200, json: { status: "completed" } });
});

it("lists over both in pages, or one of them, and redrives what failed in both", async () => {
  const posted: string[] = [];
  for (const source of ["upstash", "sqlite", "upstash"])
    posted.push(await post(source, { user_id: "lister", config: { stumble: "as asked" } }));
  for (const id of posted) await container.runtime.ended(id);
  const ids: string[] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const query: string = `user_id=lister&limit=2${cursor === "" ? "" : `&cursor=${cursor}`}`;
    const page = listJobs.responses[200].parse((await container.call("GET", `/jobs?${query}`)).json);
    ids.push(...page.jobs.map(({ job_id }) => job_id));
    cursor = page.cursor;
  }
  expect(ids.toSorted()).toEqual(posted.toSorted());
  const near = await container.call("GET", "/jobs?user_id=lister&source=sqlite");
  expect(near.json).toMatchObject({ jobs: [{ job_id: posted[1] }], cursor: null, unreachable: [] });
  container.runtime.dispatcher.pause();
  const failed = listJobs.responses[200].parse((await container.call("GET", "/jobs?status=failed")).json).jobs.length;
  const nearby = listJobs.responses[200].parse((await container.call("GET", "/jobs?status=failed&source=sqlite")).json);
  expect(nearby.jobs.length).toBeLessThan(failed);
  const only = await container.call("POST", "/queues/test_queue/redrive?source=sqlite&dry_run=true");
  expect(only.json).toMatchObject({ matched: nearby.jobs.length, redriven: nearby.jobs.length, unreachable: [] });
  const dead = await container.call("GET", "/queues/test_queue/dead?source=sqlite");
  expect(dead.json).toMatchObject({ jobs: nearby.jobs.map(({ job_id }) => ({ job_id })), undecodable: [] });
  const unknown = await container.call("POST", "/queues/test_queue/redrive?source=supabase");
  expect(unknown).toMatchObject({ status: 400, json: { code: "INVALID_REQUEST", error: /upstash, sqlite/ } });
  const { json } = await container.call("POST", "/queues/test_queue/redrive");
  expect(json).toMatchObject({ redriven: failed, more: false });
  container.runtime.dispatcher.resume();
  for (const id of posted)
    await expect.poll(async () => (await container.runtime.queue.get(id))?.status).toBe("failed");
});

it("counts the queues of both, at once after a job was put on one", async () => {
  container.runtime.dispatcher.pause();
  const count = async () => {
    const { sources, queues } = listQueues.responses[200].parse((await container.call("GET", "/queues")).json);
    expect(sources).toMatchObject([
      { source: "upstash", readable: true, usage: { commands: expect.any(Number) } },
      { source: "sqlite", readable: true, usage: null },
    ]);
    const test = queues.filter(({ queue }) => queue === "test_queue");
    return Object.fromEntries(test.map(({ source, queued, runs_here }) => [source, [queued, runs_here]]));
  };
  // The bound of a paid queue: its last answer may be this old.
  await expect.poll(count, { timeout: 10_000, interval: 500 }).toEqual({ upstash: [0, true], sqlite: [0, true] });
  const ids = [await post("upstash"), await post("sqlite")];
  await expect.poll(count, { timeout: 10_000, interval: 500 }).toEqual({ upstash: [1, true], sqlite: [1, true] });
  container.runtime.dispatcher.resume();
  for (const id of ids) await container.runtime.ended(id);
});

it("answers for the data folder while Redis is away", async () => {
  const id = await post("sqlite", { delay_seconds: 3600 });
  await gateway.redis.kill();
  expect(await container.call("GET", `/jobs/${id}`)).toMatchObject({ status: 200 });
  expect((await container.call("GET", "/jobs?status=queued")).json).toMatchObject({
    jobs: [{ job_id: id }],
    unreachable: ["upstash"],
  });
  expect((await container.call("GET", "/queues")).json).toMatchObject({
    sources: [{ source: "upstash" }, { source: "sqlite", readable: true }],
  });
  expect(await container.call("DELETE", `/jobs/${id}`)).toMatchObject({ status: 200 });
  await gateway.redis.restart();
});
