import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { z } from "zod";
import { runCli } from "#cli/testing/run-cli.ts";
import { attemptLog } from "#contract/attempt-log.ts";
import { startContainer, type TestContainer } from "#functions/testing/container.ts";
import { startTestGateway, type TestGateway } from "./support/gateway.ts";

/* Two containers on one queue, and an app whose requests reach now one of them, now the other. */
let gateway: TestGateway;
let runs: TestContainer;
let other: TestContainer;
let environment: Record<string, string>;

beforeAll(async () => {
  gateway = await startTestGateway();
  environment = { UPSTASH_REDIS_REST_URL: gateway.url, UPSTASH_REDIS_REST_TOKEN: gateway.token, LOG_LEVEL: "info" };
  [runs, other] = await Promise.all([
    startContainer({ ...environment, WORKER_ID: "runs" }),
    startContainer({ ...environment, WORKER_ID: "other" }),
  ]);
  other.runtime.dispatcher.pause();
});
afterAll(async () => {
  for (const container of [runs, other]) await container.stop();
  await gateway.close();
});

const done = z.object({ job_id: z.string(), status: z.string(), attempt: z.number(), assets: z.array(z.unknown()) });

it.each([
  ["its id, asked where it runs", "runs", { id: "order-1" }, {}],
  ["its key, asked where it runs", "runs", {}, { "Idempotency-Key": "order-2" }],
  ["its key, asked where it does not run", "other", {}, { "Idempotency-Key": "order-3" }],
] as const)("a lost request that has %s is joined by the same one at the other container", async (...row) => {
  const [name, where, fields, headers] = row;
  const [first, second] = where === "runs" ? [runs, other] : [other, runs];
  const gate = join(runs.runtime.folder, name.replaceAll(/\W+/g, "-"));
  const body = { type: "gated", prompt: "a quiet lake", config: { gate, size: 20 }, ...fields };
  const lost = new AbortController();
  const { url } = await first.listen();
  const request = fetch(`${url}/generate`, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(body),
    signal: lost.signal,
  }).catch(() => null);
  const running = async () => (await other.runtime.queue.list({ limit: 1, status: "running" })).jobs;
  await expect.poll(async () => (await running()).length).toBe(1);
  const id = (await running())[0]?.job.id ?? "";
  lost.abort();
  await request;
  await expect.poll(() => first.app.streams.size).toBe(0);
  const again = second.call("POST", "/generate", { body, headers });
  await expect.poll(() => second.app.streams.size).toBe(1);
  await writeFile(gate, "");
  const { status, json } = await again;
  expect([status, done.parse(json)]).toMatchObject([200, { job_id: id, status: "completed", attempt: 1 }]);
  expect(done.parse(json).assets).toHaveLength(1);
  // And once it has ended, at either.
  for (const container of [first, second])
    expect(await container.call("POST", "/generate", { body, headers })).toMatchObject({
      status: 200,
      json: { job_id: id, attempt: 1 },
    });
});

const logOf = (container: TestContainer, id: string, attempt = 1) =>
  container.call("GET", `/jobs/${id}/attempts/${attempt}/log`);

it("what a failed attempt has printed is read at the other container, and by a command, until the job is discarded", async () => {
  const id = await runs.runtime.submit("gated", { fail: "no lake in sight" });
  expect(await runs.runtime.ended(id)).toMatchObject({ status: "failed" });
  await expect.poll(async () => (await logOf(other, id)).status).toBe(200);
  const log = attemptLog.parse((await logOf(other, id)).json);
  expect(log).toEqual((await logOf(runs, id)).json);
  expect(log).toMatchObject({ job_id: id, attempt: 1, run: 1, worker_id: "runs" });
  expect(log.lines.join("\n")).toContain("no lake in sight");
  const { stdout } = await runCli(other.runtime.folder, ["job", id, "--log"], environment);
  expect(stdout).toContain("no lake in sight");
  await runs.runtime.queue.discard(id);
  expect((await logOf(other, id)).status).toBe(404);
  expect(await gateway.client().keys("*logs*")).toEqual([]);
});

it("what a completed attempt has printed stays with its container, which the other one names", async () => {
  const id = await runs.runtime.submit("gated");
  expect(await runs.runtime.ended(id)).toMatchObject({ status: "completed" });
  expect(await logOf(other, id)).toMatchObject({
    status: 404,
    json: { code: "NOT_FOUND", error: expect.stringContaining("ran on the container runs") },
  });
});

it("the log of an earlier run is not shown for the next one", async () => {
  const gate = join(runs.runtime.folder, "second-run");
  await writeFile(gate, "");
  const id = await runs.runtime.submit("gated", { gate, stumble: "a stone" });
  expect(await runs.runtime.ended(id)).toMatchObject({ status: "failed", attempt: 2 });
  await expect.poll(async () => (await logOf(other, id, 2)).status).toBe(200);
  runs.runtime.dispatcher.pause();
  await runs.runtime.queue.redrive(id);
  expect((await logOf(other, id, 2)).status).toBe(404);
  await runs.runtime.queue.cancel(id);
  runs.runtime.dispatcher.resume();
});
