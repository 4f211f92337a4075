import { describe, expect, it } from "vitest";
import type { Offer } from "../job-source.ts";
import { openSource, request } from "./testing/open-source.ts";

const job = (id: string, input: object = {}) => ({ id, input: { prompt: "a lake", ...input } });
const signal = new AbortController().signal;
const none: Offer = { types: [], defaultModelTypes: [], models: [] };
const images: Offer = { types: ["lake_image"], defaultModelTypes: ["lake_image"], models: [] };
const lost = { code: "DEVICE_LOST", message: "The GPU is gone." } as const;

function errorOf(body: unknown) {
  return JSON.parse((body as { error: string }).error);
}

describe("a job that waits in the container", () => {
  it("is refused at once when its type belongs to a worker that does not run here", async () => {
    const { server, source, takeOne } = await openSource({ runsHere: (worker) => worker === "images" });
    server.give(job("a", { type: "lake_video" }));
    const lease = await takeOne();
    expect(lease.rejection).toMatchObject({
      code: "UNKNOWN_JOB_TYPE",
      message: expect.stringContaining("worker videos, which does not run in this container"),
    });
    if (lease.rejection) expect(await source.fail(lease, lease.rejection)).toBe("failed");
  });

  it("fails by a timer when its whole worker is withheld and nothing is taken", async () => {
    const { server, source, takeOne } = await openSource({ timings: { unofferedLimitMs: 1 } });
    server.give(job("a"));
    await source.release(await takeOne(), 0, lost);
    const waiting = source.waitForChange(60_000, signal, "ends");
    await source.announce(new Map([["images", none]]));
    await waiting;
    expect((await source.take([])).ends).toMatchObject([
      { jobId: "a", status: "failed", error: { code: "DEVICE_LOST" } },
    ]);
    await expect.poll(() => server.bodies("a").length).toBe(1);
    expect(errorOf(server.bodies("a")[0])).toMatchObject({ error_type: "DEVICE_LOST" });
  });

  it("fails after a minute in which its worker is withheld, or is tried and lost again, and not before", async () => {
    const { server, source, takeOne, pass } = await openSource();
    server.give(job("a"));
    await source.release(await takeOne(), 0, lost);
    await source.announce(new Map([["images", none]]));
    pass(30_000);
    await source.announce(new Map([["images", images]]));
    await source.release(await takeOne(), 0, lost);
    await source.announce(new Map([["images", none]]));
    pass(29_000);
    expect(await source.take([])).toEqual({ leases: [], ends: [] });
    pass(1_001);
    expect((await source.take([])).ends).toMatchObject([{ jobId: "a", error: { code: "DEVICE_LOST" } }]);
  });

  it("waits for a worker that is busy for as long as that takes", async () => {
    const { server, source, taken, pass } = await openSource({ maxConcurrency: 2 });
    server.give(job("a"), job("b"));
    await source.announce(new Map([["images", images]]));
    expect(await taken()).toHaveLength(1);
    await source.take([{ worker: "videos", slots: 1 }]);
    pass(600_000);
    expect(await source.take([{ worker: "videos", slots: 1 }])).toEqual({ leases: [], ends: [] });
    expect((await source.take(request())).leases).toMatchObject([{ jobId: "b" }]);
  });

  it("fails when its own time is over, also while nothing is taken", async () => {
    const { server, source, takeOne } = await openSource();
    server.give(job("a", { config: { expires_in_seconds: 1 } }));
    await source.release(await takeOne());
    await source.waitForChange(60_000, signal, "ends");
    expect((await source.take([])).ends).toMatchObject([{ jobId: "a", status: "failed", error: { code: "EXPIRED" } }]);
    await expect.poll(() => server.bodies("a").length).toBe(1);
    expect(errorOf(server.bodies("a")[0])).toMatchObject({ error_type: "EXPIRED" });
  });
});
