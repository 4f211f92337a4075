import { expect, it } from "vitest";
import type { JobResult } from "../job-source.ts";
import { openSource, request } from "./testing/open-source.ts";

const result: JobResult = { assets: [], metadata: { seed: 7 } };
const failure = { code: "HANDLER_FAILED", message: "the lake is dry" } as const;
const job = (id: string, input: unknown = { prompt: "a lake" }) => ({ id, input });
/** A pause that no test outlives. */
const never = [3_600_000];

it("an input of 11 MB is a job that fails in words, and the next one runs", async () => {
  const { server, source, takeOne } = await openSource({ timings: { errorPausesMs: never } });
  server.give(job("a", { prompt: "a lake", image: "m".repeat(11 * 1024 * 1024) }));
  const lease = await takeOne();
  expect(lease.rejection).toMatchObject({
    code: "BODY_TOO_LARGE",
    message: expect.stringMatching(/^The input has 11,534,\d{3} characters, and at most 1,048,576 are read/),
  });
  expect(JSON.stringify(lease.job).length).toBeLessThan(1000);
  if (lease.rejection) await source.fail(lease, lease.rejection);
  expect(server.posts("a")[0]?.text).toContain("BODY_TOO_LARGE");
  server.give(job("b", { prompt: "a lake", image: "m".repeat(1_000_000) }));
  expect((await takeOne()).rejection).toBeUndefined();
});

it.each(["takeAnswers", "postAnswers"] as const)(
  "a connection that ended while the container was frozen is opened anew at once: %s",
  async (answers) => {
    const timings = { errorPausesMs: never, postPausesMs: never };
    const { server, source, takeOne } = await openSource({ timings });
    server.give(job("a"));
    await source.complete(await takeOne(), result);
    server[answers].push("cut");
    server.give(job("b"));
    expect(await source.complete(await takeOne(), result)).toBe("completed");
    expect(server[answers]).toEqual([]);
    expect(source.trouble).toBeNull();
  },
);

it.each([
  ["forward", 86_400_000],
  ["back", -86_400_000],
])("a calendar that goes %s by a day changes nothing of what is held", async (_way, jumpMs) => {
  let jumpedMs = 0;
  const { server, source, taken, takeOne } = await openSource({
    maxConcurrency: 2,
    nowMs: () => Date.now() + jumpedMs,
  });
  server.give(job("a"), job("b", { type: "lake_video", config: { expires_in_seconds: 60 } }));
  const [one, other] = await taken();
  if (one === undefined || other === undefined) throw new Error("two jobs were given");
  await source.retry(other, { error: failure, delaySeconds: 30 });
  jumpedMs = jumpMs;
  expect(await source.renew([{ lease: one }])).toEqual(["held"]);
  expect(await source.take(request())).toEqual({ leases: [], ends: [] });
  expect(await source.complete(one, result)).toBe("completed");
  server.give(job("c"));
  const { queuedAtMs, takenAtMs, expiresAtMs } = await takeOne();
  expect(queuedAtMs).toBeLessThanOrEqual(takenAtMs);
  expect(expiresAtMs - takenAtMs).toBe(30_000);
});

it("an hour that passes at once lets what is held be held, and what waits here be due", async () => {
  const { server, source, taken, pass } = await openSource({ maxConcurrency: 2, timings: { errorPausesMs: never } });
  server.give(job("a"), job("b", { type: "lake_video" }));
  const [one, other] = await taken();
  if (one === undefined || other === undefined) throw new Error("two jobs were given");
  await source.retry(other, { error: failure, delaySeconds: 3000 });
  pass(3_600_000);
  expect(await source.renew([{ lease: one }])).toEqual(["held"]);
  expect((await source.take(request())).leases).toMatchObject([{ jobId: "b", attempt: 2 }]);
  expect(await source.complete(one, result)).toBe("completed");
  server.give(job("c"));
  expect(await taken()).toMatchObject([{ jobId: "c" }]);
});
