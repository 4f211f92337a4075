import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { type JobResult, stoppedError } from "../job-source.ts";
import { openSource, request } from "./testing/open-source.ts";
import type { RunpodServer } from "./testing/runpod-server.ts";

/* Ends that have been recorded here, and that the platform has not taken yet. */
const result: JobResult = { assets: [], metadata: { seed: 7 } };
const job = (id: string, input: unknown = { prompt: "a lake" }) => ({ id, input });

function refuseAll(server: RunpodServer): void {
  server.postAnswers.push(...Array.from({ length: 100_000 }, () => 500));
}

const lastPing = (server: RunpodServer) => server.heard.findLast(({ url }) => url.includes("/ping/"))?.url ?? "";

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "ourvidz-runpod-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return join(folder, "runpod");
}

describe("the failure of a job that was given back at the stop", () => {
  it("is posted by the next process on the data folder where this one could not", async () => {
    const failuresFolder = await temporaryFolder();
    const { server, source, takeOne } = await openSource({ failuresFolder });
    server.give(job("a"));
    const lease = await takeOne();
    source.publish(lease, { kind: "text", delta: "a quiet " });
    refuseAll(server);
    await source.stopTaking();
    expect(await source.release(lease)).toBe("failed");
    expect(await readdir(failuresFolder)).toHaveLength(1);
    await source.close();
    expect(server.bodies("a").length).toBeGreaterThan(0);

    const next = await openSource({ failuresFolder });
    await expect.poll(() => next.server.posts("a").length).toBe(1);
    const [post] = next.server.posts("a");
    expect(post?.text).toContain(stoppedError.code);
    expect(post?.url).toContain("isStream=true");
    await expect.poll(() => readdir(failuresFolder)).toEqual([]);
  });

  it("is pinged until it is posted, and the job is not run again meanwhile", async () => {
    const opened = await openSource();
    const { server } = opened;
    const { source, taken } = await openSource({
      takeUrl: `${server.url}/job-take/$RUNPOD_POD_ID`,
      outputUrl: `${server.url}/job-done/$RUNPOD_POD_ID/$ID`,
      pingUrl: `${server.url}/ping/$RUNPOD_POD_ID`,
      pingIntervalMs: 20,
      maxConcurrency: 2,
    });
    refuseAll(server);
    server.give(job("a", { id: "same" }));
    const [lease] = await taken();
    server.give(job("b", { id: "same" }));
    void source.take(request()).then(() => source.waitForChange(60_000, new AbortController().signal, "jobs"));
    await expect.poll(() => lastPing(server)).toContain("job_id=a%2Cb&");
    if (lease) await source.cancelled(lease);
    await expect.poll(() => lastPing(server)).toContain("job_id=b&");
    server.give(job("b", { id: "another" }), job("c"));
    expect(await taken()).toMatchObject([{ jobId: "c" }]);
    server.postAnswers.length = 0;
    await expect.poll(() => lastPing(server)).toContain("job_id=c&");
    expect(server.bodies("b").at(-1)).toMatchObject({ error: expect.stringContaining("IDEMPOTENCY_CONFLICT") });
  });
});

it("a result that an earlier process has left is pinged until it is posted, and its job is not run again", async () => {
  const earlier = await openSource();
  earlier.server.give(job("a"));
  const lease = await earlier.takeOne();
  const { server } = await openSource();
  const { source, taken } = await openSource({
    takeUrl: `${server.url}/job-take/$RUNPOD_POD_ID`,
    outputUrl: `${server.url}/job-done/$RUNPOD_POD_ID/$ID`,
    pingUrl: `${server.url}/ping/$RUNPOD_POD_ID`,
    pingIntervalMs: 20,
  });
  expect(await source.renew([{ lease }])).toEqual(["unknown"]);
  server.give(job("a"), job("b"));
  expect(await taken()).toMatchObject([{ jobId: "b" }]);
  await expect.poll(() => lastPing(server)).toContain("job_id=b%2Ca&");
  expect(await source.complete(lease, result)).toBe("completed");
  await expect.poll(() => lastPing(server)).toContain("job_id=b&");
});
